"""Results of single runs in, mean and spread over seeds for every data set and method out.

A data set that stands for several (Fashion-MNIST's classes) gets a line of its own: the mean over its sets, taken
within each seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean, stdev
from typing import Any, NamedTuple

from trainer.study.results import Result

FIGURES = ("image_auroc", "pixel_auroc", "pro", "caught")
LOOKED_AT = ("image_auroc", "pixel_auroc")  # at checkpoints


class Spread(NamedTuple):
    """Mean, standard deviation (n - 1; None for one value), lowest and highest of the values."""

    mean: float
    deviation: float | None
    low: float
    high: float
    values: tuple[float, ...]


class Line(NamedTuple):
    """One data set and one method: figures over seeds, and how far they swing over the last third of training.

    `swing` is the widest range (highest minus lowest) that any one seed had. `realised` and `realised_map` hold each
    seed's rates as `trainer.realised` gives them.
    """

    data: str
    group: str
    method: str
    control: bool
    sets: int
    figures: dict[str, Spread | None]
    swing: dict[str, float | None]
    brightness: dict[str, float | None]
    realised: list[list[dict[str, Any]]]
    realised_map: list[list[dict[str, Any]]]
    failed: tuple[str, ...]
    seconds: float

    def as_json(self) -> dict[str, object]:
        """For the table's JSON."""
        return {
            **self._asdict(),
            "figures": {name: spread._asdict() if spread else None for name, spread in self.figures.items()},
        }


def summary(results: Sequence[Result]) -> list[Line]:
    """One line for each data set and method, in the order in which they first occur; then those of whole groups."""
    lines = [
        _line([one for one in results if (one["data"], one["variant"]) == key])
        for key in dict.fromkeys((one["data"], one["variant"]) for one in results)
    ]
    groups = dict.fromkeys(line.group for line in lines if line.group != line.data)
    for group in groups:
        for method in dict.fromkeys(line.method for line in lines if line.group == group):
            lines.append(_group_line([line for line in lines if (line.group, line.method) == (group, method)]))
    return lines


def spread(values: Sequence[float]) -> Spread:
    """See Spread."""
    deviation = stdev(values) if len(values) > 1 else None
    return Spread(fmean(values), deviation, min(values), max(values), tuple(values))


def _line(results: Sequence[Result]) -> Line:
    first = results[0]
    failed = tuple(str(one["failed"]) for one in results if "failed" in one)
    figures = [one["figures"] for one in results if "failed" not in one]
    return Line(
        data=first["data"],
        group=first["group"],
        method=first["variant"],
        control=first["control"],
        sets=1,
        figures={name: _spread_of(figures, lambda one, name=name: one.get(name)) for name in FIGURES},  # type: ignore[misc]
        swing={name: _swing(figures, name) for name in LOOKED_AT},
        brightness=figures[0]["brightness_control"] if figures else {},
        realised=[one["realised"] for one in figures if one["realised"]],
        realised_map=[one["realised_map"] for one in figures if one.get("realised_map")],
        failed=failed,
        seconds=fmean([one["seconds"] for one in figures]) if figures else 0.0,
    )


def _group_line(lines: Sequence[Line]) -> Line:
    """The mean over sets within each seed; a line with a failed run has fewer seeds, so only common places count."""
    first = lines[0]
    figures: dict[str, Spread | None] = {}
    for name in FIGURES:
        known = [spread_.values for line in lines if (spread_ := line.figures[name]) is not None]
        seeds = min((len(values) for values in known), default=0)
        whole = len(known) == len(lines) and seeds > 0
        figures[name] = spread([fmean(values[seed] for values in known) for seed in range(seeds)]) if whole else None
    return Line(
        data=first.group,
        group=first.group,
        method=first.method,
        control=first.control,
        sets=len(lines),
        figures=figures,
        swing={name: _widest([line.swing[name] for line in lines]) for name in LOOKED_AT},
        brightness={},
        realised=[],
        realised_map=[],
        failed=tuple(text for line in lines for text in line.failed),
        seconds=fmean([line.seconds for line in lines]),
    )


def _spread_of(figures: Sequence[dict[str, Any]], take: Callable[[dict[str, Any]], float | None]) -> Spread | None:
    values = [value for one in figures if (value := take(one)) is not None]
    return spread(values) if values else None


def _swing(figures: Sequence[dict[str, Any]], name: str) -> float | None:
    """Highest minus lowest over one run's checkpoints, the widest of all runs; None for one look or none."""
    ranges = []
    for one in figures:
        values = [point[name] for point in one["checkpoints"] if point[name] is not None]
        if len(values) > 1:
            ranges.append(max(values) - min(values))
    return _widest(ranges)


def _widest(ranges: Sequence[float | None]) -> float | None:
    return max((one for one in ranges if one is not None), default=None)
