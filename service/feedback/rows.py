"""What the feedback store gives and takes: verdicts with their reviews, which are asked for, and what is new."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Label = Literal["good", "defect", "unsure"]
Reviewed = Literal["yes", "no", "disagreed"]
ANONYMOUS = "anonymous"  # who judges where there are no keys


@dataclass(frozen=True, kw_only=True)
class Review:
    """What one person said of one part; `at` and `withdrawn_at` are seconds since 1970 (UTC)."""

    id: int
    verdict_id: int
    label: Label
    defect_class: str | None
    note: str | None
    by: str
    at: float
    withdrawn_at: float | None


@dataclass(frozen=True)
class Resembles:
    """The group of recurring defects that a part's strongest region belongs to, and its distance from the centre."""

    group: int
    name: str | None
    distance: float


@dataclass(frozen=True, kw_only=True)
class VerdictRow:
    """One verdict as it was given, and what is known of it since.

    `spot_check_share` is the probability with which `spot_check` was drawn. `judged` is good, defect, disagreed (the
    standing reviews do not agree on that) or empty. `reviews` has all of them, oldest first, withdrawn ones too.
    """

    id: int
    at: float
    request_id: str
    image_index: int
    caller: str | None
    product: str
    version: str
    method: str
    hash: str
    score: float
    p_value: float
    threshold: float
    review_threshold: float | None
    decision: str
    decided_by: str | None
    line: str | None
    station: str | None
    part_id: str | None
    filename: str | None
    width: int
    height: int
    spot_check: bool
    spot_check_share: float
    picture_file: str | None
    picture_type: str | None
    picture_bytes: int | None
    picture_gone_at: float | None
    judged: str
    waiting: bool
    reviews: tuple[Review, ...] = ()
    resembles: Resembles | None = None


@dataclass(frozen=True, kw_only=True)
class VerdictFilter:
    """Which verdicts; None, False and empty are no condition. `until` (seconds since 1970) is outside."""

    product: str | None = None
    version: str | None = None
    decisions: frozenset[str] = frozenset()
    line: str | None = None
    station: str | None = None
    part_id: str | None = None
    since: float | None = None
    until: float | None = None
    reviewed: Reviewed | None = None
    spot_check: bool | None = None


@dataclass(frozen=True)
class Said:
    """A judgement that somebody wants to make."""

    label: Label
    defect_class: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class Position:
    """Up to where the store was read: the ids of the last verdict and of the last change of a review."""

    verdict: int
    change: int


@dataclass(frozen=True)
class Changes:
    """What came after a position, oldest first, and where it ends.

    `left_out` is true where there were more verdicts than were asked for: the oldest of them are missing then.
    """

    verdicts: list[VerdictRow]
    reviewed: list[VerdictRow]
    position: Position
    left_out: bool = False
