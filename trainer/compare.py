"""Judges one labelled set by two artifacts, and says which verdicts change and whether that is beyond chance.

Of the parts that only one of the two rejects, half would be only one's and half only the other's if both were equal:
the exact test of McNemar, two-sided. The set is only looked at, as by an evaluation.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import binomtest

from models import atomic_file
from trainer.data import DataError
from trainer.evaluate import JudgedSet, Machine, judge_set
from trainer.figures import Evaluated
from trainer.fit_run import Display
from trainer.report.cards import Card, card
from trainer.report.page import environment

SIGNIFICANT = 0.05
SHOWN = 24  # changed images on the page


@dataclass(frozen=True)
class Change:
    """How many of `total` parts each of two artifacts rejects (REVIEW or NG), and how many only one of them."""

    total: int
    by_first: int
    by_second: int
    only_first: int
    only_second: int

    @property
    def p_value(self) -> float:
        """Of the difference, if both rejected alike (McNemar's exact test); 1 where nothing differs."""
        differing = self.only_first + self.only_second
        return float(binomtest(self.only_first, differing, 0.5).pvalue) if differing else 1.0

    def words(self, what: str) -> str:
        """A sentence: `what` is a plural as "good parts"."""
        beyond = "beyond chance" if self.p_value < SIGNIFICANT else "not beyond chance"
        return (
            f"{what} that are not OK: {self.by_first} of {self.total} by A, {self.by_second} by B; "
            f"{self.only_first} by A alone, {self.only_second} by B alone: {beyond} (p = {self.p_value:.2g})"
        )


@dataclass(frozen=True)
class Comparison:
    """Pairs of the same images, judged by A and by B."""

    first: JudgedSet
    second: JudgedSet
    pairs: list[tuple[Evaluated, Evaluated]]

    def change(self, *, anomalous: bool) -> Change:
        """Of the good or of the defective parts."""
        pairs = [
            (one.decision != "OK", other.decision != "OK")
            for one, other in self.pairs
            if one.image.anomalous == anomalous
        ]
        counts = Counter(pairs)
        return Change(
            total=len(pairs),
            by_first=counts[True, True] + counts[True, False],
            by_second=counts[True, True] + counts[False, True],
            only_first=counts[True, False],
            only_second=counts[False, True],
        )

    @property
    def changed(self) -> list[tuple[Evaluated, Evaluated]]:
        """The pairs whose decisions differ, the largest change of the p-value first."""
        found = [pair for pair in self.pairs if pair[0].decision != pair[1].decision]
        return sorted(found, key=lambda pair: -abs(pair[0].p_value - pair[1].p_value))

    @property
    def lines(self) -> list[str]:
        """For a person."""
        steps = Counter(
            (one.image.defect, f"{one.decision} by A, {other.decision} by B") for one, other in self.changed
        )
        listed = "; ".join(f"{count} {defect}: {step}" for (defect, step), count in sorted(steps.items())) or "none"
        return [
            f"{len(self.changed)} of {len(self.pairs)} verdicts differ: {listed}",
            self.change(anomalous=False).words("good parts"),
            self.change(anomalous=True).words("defective parts"),
        ]

    def as_json(self) -> dict[str, object]:
        """comparison.json."""
        return {
            "artifacts": {name: _named(one) for name, one in (("A", self.first), ("B", self.second))},
            "images": len(self.pairs),
            "good": _counts(self.change(anomalous=False)),
            "defective": _counts(self.change(anomalous=True)),
            "changed": [
                {
                    "file": f"{one.image.defect}/{one.image.file.name}",
                    "decisions": [one.decision, other.decision],
                    "p_values": [one.p_value, other.p_value],
                }
                for one, other in self.changed
            ],
        }


def compare(first: Path, second: Path, data: Path, out: Path, machine: Machine, display: Display) -> Path:
    """Writes comparison.json and comparison.html; returns the path of the page.

    Raises ArtifactError, DataError or SourceWeightsError in clear words.
    """
    judged = []
    for name, path in (("A", first), ("B", second)):
        display.say(f"{name}: {path}")
        judged.append(judge_set(path, data, machine, display))
    comparison = Comparison(judged[0], judged[1], pairs_of(judged[0].found, judged[1].found))
    out.mkdir(parents=True, exist_ok=True)
    atomic_file.write_text(out / "comparison.json", json.dumps(comparison.as_json(), indent=1) + "\n")
    for line in comparison.lines:
        display.say(line)
    page = (
        environment()
        .get_template("comparison.html")
        .render(names=[_named(one) for one in judged], data=data, lines=comparison.lines, rows=_cards(comparison))
    )
    atomic_file.write_text(out / "comparison.html", page)
    return out / "comparison.html"


def pairs_of(first: Sequence[Evaluated], second: Sequence[Evaluated]) -> list[tuple[Evaluated, Evaluated]]:
    """The images that both could read. Raises DataError where there is none."""
    others = {one.image.file: one for one in second}
    found = [(one, others[one.image.file]) for one in first if one.image.file in others]
    if not found:
        raise DataError("there is no image that both artifacts can judge")
    return found


def _cards(comparison: Comparison) -> list[tuple[Card, Card]]:
    return [
        (card(one, comparison.first.artifact), card(other, comparison.second.artifact))
        for one, other in comparison.changed[:SHOWN]
    ]


def _named(one: JudgedSet) -> str:
    manifest = one.artifact.manifest
    return f"{manifest.product}, version {manifest.version}, {manifest.method}, {one.artifact.sha256[:12]}"


def _counts(change: Change) -> dict[str, float]:
    return {
        "total": change.total,
        "not_ok_by_a": change.by_first,
        "not_ok_by_b": change.by_second,
        "only_by_a": change.only_first,
        "only_by_b": change.only_second,
        "p_value": change.p_value,
    }
