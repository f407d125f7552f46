"""One part as a recalibration sees it: how it scored, how it came to be looked at, and what people said of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from models.calibration.conformal import Decision
from models.calibration.selection import Drawing

HELD_BACK_SHARE = 0.2  # of the parts: they check the new thresholds and never choose them
_SPAN = 1 << 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A verdict and what people said of it. `at` is in seconds since 1970.

    `label` is None where nobody has judged, where a reviewer was unsure, or where reviewers disagree; `spot_check` says
    that the part was drawn for review before its score was known, with probability `spot_check_share`; `picture`
    whether one is kept, without which nobody can judge.
    """

    verdict_id: int
    at: float
    score: float
    decision: Decision
    threshold: float
    review_threshold: float | None
    spot_check: bool
    spot_check_share: float
    part_id: str | None = None
    picture: bool = True
    label: Literal["good", "defect"] | None = None
    defect_class: str | None = None

    @property
    def drawing(self) -> Drawing:
        """How it was chosen for review, or not."""
        above = self.threshold if self.review_threshold is None else min(self.review_threshold, self.threshold)
        return Drawing(self.spot_check_share, above)

    @property
    def selected(self) -> bool:
        """Whether the way of choosing asks for a judgement of it; one that was judged unasked is no fair sample."""
        return self.spot_check or self.decision != "OK"

    @property
    def is_sample(self) -> bool:
        """Whether it may become a calibration score, or check one."""
        return self.selected and self.label == "good"

    @property
    def waits(self) -> bool:
        """Whether a judgement of it is missing."""
        return self.selected and self.label is None

    @property
    def held_back(self) -> bool:
        """Whether it checks and does not choose: by a hash of its id, so always the same, whatever it scored."""
        digest = hashlib.blake2b(str(self.verdict_id).encode(), digest_size=8).digest()
        return int.from_bytes(digest) < HELD_BACK_SHARE * _SPAN


def first_inspections(parts: Iterable[Part]) -> Sequence[Part]:
    """The same without those that had been there before, in the order of time.

    A part is the same where its part id is, or its score to the last digit, as of a picture that is sent again. The
    first inspection counts: whether there is a second one may depend on what came of the first.
    """
    ids: set[str] = set()
    scores: set[float] = set()
    kept = []
    for part in sorted(parts, key=lambda each: (each.at, each.verdict_id)):
        if part.score not in scores and (part.part_id is None or part.part_id not in ids):
            kept.append(part)
        scores.add(part.score)
        if part.part_id is not None:
            ids.add(part.part_id)
    return kept
