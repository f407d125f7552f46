"""Recalibrations and what-ifs as callers ask for them and get them, as schemas of the OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.rest.feedback_schemas import StoredVerdict
from service.rest.schemas import Decision, Schema

RAREST = 2e-5  # more parts than a window has would be needed for less


class RecalibrationBody(BaseModel):
    """Body of POST /products/{name}/recalibrations; what is left out is the artifact's, or no bound."""

    model_config = ConfigDict(extra="forbid")

    max_false_reject: float | None = Field(default=None, ge=RAREST, lt=1, description="Share of good parts called NG.")
    review_rate: float | None = Field(
        default=None,
        ge=RAREST,
        lt=1,
        description="Share of good parts called REVIEW or NG; not under max_false_reject.",
    )
    since: datetime | None = Field(default=None, description="Parts from this time on; UTC where it has no zone.")
    until: datetime | None = Field(default=None, description="Parts before this time.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        ng, review = self.max_false_reject, self.review_rate
        if ng is not None and review is not None and review < ng:
            raise ValueError("review_rate must not be below max_false_reject")
        return self


class ThresholdPair(Schema):
    """Scores above `ng` are NG, above `review` REVIEW; null where REVIEW is never given."""

    ng: float
    review: float | None


class PartCounts(Schema):
    """Parts of the window: each counts once however often it came."""

    inspected: int = Field(description="Judged by the version, each part once.")
    repeated: int = Field(description="Inspections beyond a part's first.")
    confirmed: int = Field(description="Chosen for review by a known chance, and good.")
    used: int = Field(description="Those that choose the thresholds.")
    held_back: int = Field(description="Those that check them.")
    effective: float = Field(description="How many parts drawn at random would tell the NG threshold as well.")


class HeldBackParts(Schema):
    """Confirmed good parts that have chosen nothing, by the old and the new thresholds."""

    parts: int
    rejected_before: int = Field(description="NG by the old threshold.")
    rejected_after: int = Field(description="NG by the new one.")
    share: float = Field(description="Share of the line's good parts that the latter stand for.")
    interval: tuple[float, float] = Field(description="95 % interval of that share.")


class MissedParts(Schema):
    """Confirmed parts of one class of defect, and how many of them the old and new thresholds decide OK."""

    parts: int
    before: int
    after: int


class ChangedParts(Schema):
    """Verdicts of the window that the new thresholds decide otherwise, by what they become."""

    now_ok: int
    now_review: int
    now_ng: int


class Bounds(Schema):
    """A window that would not be refused for the same reason; null where a bound may stay as it is."""

    since: datetime | None
    until: datetime | None


class RecalibrationReply(Schema):
    """A recalibration; what is not known (yet) is null."""

    id: int
    state: Literal["running", "ready", "refused", "applied", "failed"]
    reason: str | None = Field(description="Why it was refused, has failed or could not be applied, and what helps.")
    at: datetime
    by: str
    since: datetime | None = Field(description="Begin of the window that was asked for.")
    until: datetime | None
    suggested: Bounds | None = None
    from_version: str
    to_version: str | None
    applied_at: datetime | None
    applied_by: str | None
    before: ThresholdPair | None = None
    after: ThresholdPair | None = None
    rate_promised: float | None = Field(default=None, description="At most this share of good parts becomes NG.")
    review_rate_promised: float | None = Field(default=None, description="The same of REVIEW and NG together.")
    parts: PartCounts | None = None
    held_back: HeldBackParts | None = None
    misses: dict[str, MissedParts] | None = Field(default=None, description="By class of defect.")
    changed: ChangedParts | None = None


class RecalibrationList(Schema):
    """The recalibrations of a product, newest first, 50 at most."""

    recalibrations: list[RecalibrationReply]


class WhatIfQuery(BaseModel):
    """Query parameters of /products/{name}/what-if."""

    model_config = ConfigDict(extra="forbid")

    max_false_reject: float = Field(gt=0, lt=1, description="Share of good parts called NG at most.")
    since: datetime | None = Field(default=None, description="Verdicts from this time on; UTC where it has no zone.")


class Decisions(Schema):
    """How many parts became what."""

    OK: int
    REVIEW: int
    NG: int


class Side(Schema):
    """Thresholds, and what they decide of the stored verdicts."""

    threshold: float
    review_threshold: float | None
    rate_promised: float
    counts: Decisions


class ChangedVerdict(StoredVerdict):
    """A stored verdict that would have been another one."""

    becomes: Decision


class WhatIfReply(Schema):
    """The active version's own thresholds against those of another rate, on the verdicts that it has given."""

    version: str
    now: Side
    then: Side
    changed_total: int
    changed: list[ChangedVerdict] = Field(description="Newest first, 200 at most.")
