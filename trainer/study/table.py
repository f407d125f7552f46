"""The lines of a study in, its page in Markdown out: figures with their spread, and the promises that were kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trainer.realised import CAUGHT_AT
from trainer.study.plan import StudyPlan
from trainer.study.summary import Line, Spread


def markdown(plan: StudyPlan, lines: Sequence[Line], notes: Sequence[str], plots: Sequence[str]) -> str:
    """The whole page."""
    parts = [f"# Study {plan.name}", plan.about.strip(), *notes, _figures(plan, lines), _controls(lines)]
    parts += [
        _rates(lines, "realised", "False rejects", "good test parts above the threshold"),
        _rates(lines, "realised_map", "Lit maps", "good test parts with any place above the map's threshold"),
        _failures(lines),
        *(f"![{name}]({name})" for name in plots),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _figures(plan: StudyPlan, lines: Sequence[Line]) -> str:
    seeds = ", ".join(map(str, plan.seeds))
    words = (
        f"Figures in %: mean ± standard deviation (lowest to highest) over the seeds {seeds}. *Swing*: the widest "
        f"range that one seed's figure ran through over {plan.checkpoints} looks in the last third of training. "
        f"*Caught*: defective parts above the threshold for a false-reject rate of {100 * CAUGHT_AT:g} %."
    )
    rows = [
        f"| {line.data}{f' (mean of {line.sets})' if line.sets > 1 else ''} | {line.method} | "
        f"{_cell(line.figures['image_auroc'])} | {_points(line.swing['image_auroc'])} | "
        f"{_cell(line.figures['pixel_auroc'])} | {_points(line.swing['pixel_auroc'])} | {_cell(line.figures['pro'])} | "
        f"{_cell(line.figures['caught'])} | {line.seconds:.0f} |"
        for line in lines
    ]
    head = "| data | method | image AUROC | swing | pixel AUROC | swing | PRO | caught | seconds a run |"
    return "\n".join(["## Figures", "", words, "", head, _rule(head), *rows])


def _controls(lines: Sequence[Line]) -> str:
    rows = []
    for data in dict.fromkeys(line.data for line in lines if line.brightness):
        light = next(line.brightness for line in lines if line.data == data and line.brightness)
        rows.append(f"| {data} | {_percent(light['as_it_is'])} | {_percent(light['distance_from_training'])} |")
    head = "| data | as it is | distance from the training mean |"
    words = "Image AUROC of the mean brightness alone, which knows nothing of defects."
    return "\n".join(["## Brightness control", "", words, "", head, _rule(head), *rows]) if rows else ""


def _rates(lines: Sequence[Line], name: str, title: str, what: str) -> str:
    told = [line for line in lines if not line.control and getattr(line, name)]
    if not told:
        return ""
    asked = [one["rate_asked"] for one in getattr(told[0], name)[0]]
    head = "| data | method | " + " | ".join(f"{100 * rate:g} %" for rate in asked) + " |"
    rows = []
    for line in told:
        seeds = getattr(line, name)
        cells = [_promise([seed[place] for seed in seeds]) for place in range(len(asked))]
        rows.append(f"| {line.data} | {line.method} | " + " | ".join(cells) + " |")
    words = (
        f"Mean share of {what}, over the seeds, for thresholds from each seed's own held-out images. In brackets what "
        "they could promise where that is more than was asked, and the seeds at which the promise was kept (not more "
        "than chance allows: beta-binomial, 95 %) and at which it lies inside the Clopper-Pearson interval."
    )
    return "\n".join([f"## {title}", "", words, "", head, _rule(head), *rows])


def _promise(seeds: Sequence[dict[str, Any]]) -> str:
    share = sum(one["share"] for one in seeds) / len(seeds)
    promised = seeds[0]["rate_promised"]
    more = f"promised {_percent(promised)}; " if promised > seeds[0]["rate_asked"] else ""
    kept, inside = (sum(one[key] for one in seeds) for key in ("kept", "inside"))
    return f"{_percent(share)} ({more}kept {kept}, inside {inside} of {len(seeds)})"


def _failures(lines: Sequence[Line]) -> str:
    rows = [f"- {line.data}, {line.method}: {text}" for line in lines if line.sets == 1 for text in line.failed]
    return "\n".join(["## Runs that failed", "", *rows]) if rows else ""


def _cell(spread: Spread | None) -> str:
    if spread is None:
        return "-"
    if spread.deviation is None:
        return _percent(spread.mean, sign=False)
    low, high = (_percent(value, sign=False) for value in (spread.low, spread.high))
    return f"{_percent(spread.mean, sign=False)} ± {_percent(spread.deviation, sign=False)} ({low} to {high})"


def _points(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _percent(value: float | None, *, sign: bool = True) -> str:
    return "-" if value is None else f"{100 * value:.1f}{' %' if sign else ''}"


def _rule(head: str) -> str:
    return "|" + "---|" * (head.count("|") - 1)
