"""New thresholds from confirmed parts, and what other rates would have decided; what is not known (yet) is None."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from mkdserve.client.feedback import StoredVerdict
from mkdserve.client.schema import Answer
from mkdserve.client.verdicts import Decision


class ThresholdPair(Answer):
    """Scores above `ng` are NG, above `review` REVIEW."""

    ng: float
    review: float | None


class PartCounts(Answer):
    """Parts of the window, each once; `effective` is how many drawn at random would tell the NG threshold as well."""

    inspected: int
    repeated: int
    confirmed: int
    used: int
    held_back: int
    effective: float


class HeldBackParts(Answer):
    """Confirmed good parts that have chosen nothing, by old and new thresholds; `interval` is that of `share`, 95 %."""

    parts: int
    rejected_before: int
    rejected_after: int
    share: float
    interval: tuple[float, float]


class MissedParts(Answer):
    """Confirmed parts of one class of defect, and how many the old and the new thresholds decide OK."""

    parts: int
    before: int
    after: int


class ChangedParts(Answer):
    """Verdicts that the new thresholds decide otherwise, by what they become."""

    now_ok: int
    now_review: int
    now_ng: int


class Bounds(Answer):
    """A window that would not be refused for the same reason."""

    since: datetime | None
    until: datetime | None


class Recalibration(Answer):
    """running -> ready -> applied, or running -> refused or failed; `reason` says why, and what helps."""

    id: int
    state: Literal["running", "ready", "refused", "applied", "failed"]
    reason: str | None
    at: datetime
    by: str
    since: datetime | None
    until: datetime | None
    suggested: Bounds | None = None
    from_version: str
    to_version: str | None
    applied_at: datetime | None
    applied_by: str | None
    before: ThresholdPair | None = None
    after: ThresholdPair | None = None
    rate_promised: float | None = None
    review_rate_promised: float | None = None
    parts: PartCounts | None = None
    held_back: HeldBackParts | None = None
    misses: dict[str, MissedParts] | None = None
    changed: ChangedParts | None = None


class RecalibrationList(Answer):
    """The recalibrations of a product, newest first."""

    recalibrations: tuple[Recalibration, ...]


class Decisions(Answer):
    """How many parts became what."""

    ok: int = Field(alias="OK")
    review: int = Field(alias="REVIEW")
    ng: int = Field(alias="NG")


class Side(Answer):
    """Thresholds, and what they decide of the stored verdicts."""

    threshold: float
    review_threshold: float | None
    rate_promised: float
    counts: Decisions


class ChangedVerdict(StoredVerdict):
    """A stored verdict that would have been another one."""

    becomes: Decision


class WhatIf(Answer):
    """The active version's own thresholds against those of another rate, on the verdicts that it has given."""

    version: str
    now: Side
    then: Side
    changed_total: int
    changed: tuple[ChangedVerdict, ...]
