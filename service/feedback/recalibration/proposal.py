"""Judged parts in; the calibration that they make, with what would change by it, or a refusal in words.

No part that people call a defect chooses a threshold. Of the confirmed good ones a share is held back: it says what the
new thresholds do to parts that did not choose them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.calibration.conformal import Calibration, Thresholds
from models.calibration.interval import ShareInterval, weighted_share
from models.calibration.selection import Selection, selection_of
from models.calibration.weighted import WeightedScores
from service.feedback.recalibration.parts import Part, first_inspections
from service.feedback.recalibration.refusals import (
    Refused,
    refuse_too_few,
    refuse_unlike,
    refuse_waiting,
    refuse_without_spot_checks,
)

NO_CLASS = "defect"


@dataclass(frozen=True)
class Rates:
    """The false-reject rates that are asked for."""

    ng: float
    review: float


@dataclass(frozen=True)
class Counts:
    """Parts of the window: `repeated` ones count once; `confirmed` good by a fair choice, `used` of them for the
    thresholds. `effective`: see WeightedScores.effective, at the NG rate."""

    inspected: int
    repeated: int
    confirmed: int
    used: int
    held_back: int
    effective: float


@dataclass(frozen=True)
class HeldBack:
    """The confirmed good parts that have chosen nothing, by old and new thresholds; `after` is the share of the line's
    good parts that they say becomes NG, with its 95 % interval."""

    parts: int
    rejected_before: int
    rejected_after: int
    after: ShareInterval


@dataclass(frozen=True)
class Misses:
    """Parts of one class of defect, and how many of them are decided OK by old and new thresholds."""

    parts: int
    before: int
    after: int


@dataclass(frozen=True)
class Changed:
    """Verdicts of the window that the new thresholds decide otherwise, by what they become."""

    now_ok: int
    now_review: int
    now_ng: int


@dataclass(frozen=True)
class Proposal:
    """A calibration that keeps its promise on parts as those of the window, and what it would do.

    `drawn` are the confirmed good parts that were drawn whatever they scored: a random sample of good parts. `began`
    and `ended` are when the first and the last part of the window came, in seconds since 1970.
    """

    calibration: Calibration
    before: Thresholds
    counts: Counts
    held_back: HeldBack
    misses: Mapping[str, Misses]
    changed: Changed
    used: tuple[Part, ...]
    drawn: tuple[Part, ...]
    began: float
    ended: float

    @property
    def after(self) -> Thresholds:
        """The thresholds that it would bring."""
        return self.calibration.thresholds()


def proposed(judged: Sequence[Part], before: Calibration, rates: Rates) -> Proposal:
    """The proposal from all parts of a window that one artifact has judged. Raises Refused."""
    parts = first_inspections(judged)
    if not parts:
        raise Refused("the active version has judged no part in this window")
    refuse_waiting(parts)
    selection = selection_of([part.drawing for part in parts])
    if selection is None:
        refuse_without_spot_checks(parts, (rates.ng, rates.review))
    assert selection is not None
    refuse_unlike(parts)
    sample = [part for part in parts if part.is_sample]
    used = tuple(part for part in sample if not part.held_back)
    if not used:
        raise Refused(f"of {len(parts)} parts of the window none that was chosen for review is confirmed good")
    calibration = _calibration(used, selection, before, rates)
    weighted = WeightedScores(calibration.scores, selection)
    refuse_too_few(weighted, rates.ng, "NG", parts)
    refuse_too_few(weighted, rates.review, "REVIEW", parts)
    old, new = before.thresholds(), calibration.thresholds()
    held_back = _held_back([part for part in sample if part.held_back], selection, old, new)
    if held_back.after.low > new.ng.rate_promised:
        raise Refused(
            f"the parts held back speak against it: {held_back.rejected_after} of {held_back.parts} would be NG, so at "
            f"least {held_back.after.low:.2g} of good parts, and {new.ng.rate_promised:.2g} is the promise"
        )
    counts = Counts(
        inspected=len(parts),
        repeated=len(judged) - len(parts),
        confirmed=len(sample),
        used=len(used),
        held_back=len(sample) - len(used),
        effective=weighted.effective(rates.ng),
    )
    return Proposal(
        calibration,
        old,
        counts,
        held_back,
        _misses(parts, old, new),
        _changed(parts, old, new),
        used,
        drawn=tuple(part for part in sample if part.spot_check),
        began=parts[0].at,
        ended=parts[-1].at,
    )


def _calibration(used: Sequence[Part], selection: Selection, before: Calibration, rates: Rates) -> Calibration:
    """The map's scale stays: what people confirm is that a part is good, and not what its map should show."""
    return Calibration(
        scores=tuple(sorted(part.score for part in used)),
        review_rate=rates.review,
        ng_rate=rates.ng,
        map_scale=before.map_scale,
        map_peaks=before.map_peaks,
        map_rate=before.map_rate,
        selection=selection,
    )


def _held_back(parts: Sequence[Part], selection: Selection, old: Thresholds, new: Thresholds) -> HeldBack:
    scores = np.array([part.score for part in parts], dtype=np.float64)
    weights = np.array([selection.weight(part.score) for part in parts], dtype=np.float64)
    after = scores > new.ng.value
    share = weighted_share(after, weights, selection.weight_above(new.ng.value))
    return HeldBack(len(parts), int((scores > old.ng.value).sum()), int(after.sum()), share)


def _misses(parts: Sequence[Part], old: Thresholds, new: Thresholds) -> dict[str, Misses]:
    classes: dict[str, list[Part]] = {}
    for part in parts:
        if part.label == "defect":
            classes.setdefault(part.defect_class or NO_CLASS, []).append(part)
    return {
        name: Misses(
            parts=len(found),
            before=sum(old.decide(part.score) == "OK" for part in found),
            after=sum(new.decide(part.score) == "OK" for part in found),
        )
        for name, found in sorted(classes.items())
    }


def _changed(parts: Sequence[Part], old: Thresholds, new: Thresholds) -> Changed:
    found = [new.decide(part.score) for part in parts if new.decide(part.score) != old.decide(part.score)]
    return Changed(found.count("OK"), found.count("REVIEW"), found.count("NG"))
