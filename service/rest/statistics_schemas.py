"""Counts over stored verdicts and reviews, as schemas of the OpenAPI document."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from service.rest.feedback_schemas import PlaceQuery
from service.rest.schemas import ProductName, Schema


class StatisticsQuery(PlaceQuery):
    """Query parameters of /statistics."""

    since: datetime | None = Field(default=None, description="From this time on; without it the last 8 hours.")
    buckets: int = Field(default=48, ge=1, le=1000, description="Equal parts of the time up to now.")


class SummaryQuery(BaseModel):
    """Query parameters of /reviews/summary."""

    model_config = ConfigDict(extra="forbid")

    product: ProductName | None = Field(default=None, description="Of this product only.")
    since: datetime | None = Field(default=None, description="Of verdicts from this time on.")


class DecisionCounts(Schema):
    """Verdicts in one part of the time."""

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True, validate_by_name=True)

    begins: datetime = Field(alias="from")
    ok: int = Field(alias="OK")
    review: int = Field(alias="REVIEW")
    ng: int = Field(alias="NG")


class StatisticsReply(Schema):
    """Decisions over time, oldest first, and how p-values lie."""

    decisions: list[DecisionCounts]
    p_values: list[int] = Field(
        description="Counts over 20 equal parts of 0 to 1; about equal for good parts like those of the calibration."
    )
    waiting: int = Field(description="Parts that wait for a person's judgement, however old.")


class PartCounts(Schema):
    """Parts by how they were decided."""

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True, validate_by_name=True)

    parts: int
    ok: int = Field(alias="OK")
    review: int = Field(alias="REVIEW")
    ng: int = Field(alias="NG")


class GoodParts(PartCounts):
    """Parts that people call good; those of NG are false rejects."""

    spot_checks: PartCounts = Field(description="Those among them that were drawn at random.")


class DefectParts(GoodParts):
    """Parts that people call defective, of one class; those of OK are misses."""

    name: str | None = Field(alias="class", description="null: no class was given.")
    misses_estimated: float = Field(
        description="Misses among all parts: each that a spot check found stands for 1 / share of them."
    )
    detection_rate: float | None = Field(
        description="Share of defects that were not let through, by that estimate; null where there are none."
    )


class SummaryReply(Schema):
    """What people's judgements say of the decisions."""

    good: GoodParts
    defects: list[DefectParts]
    unsure: int
    disagreements: int = Field(description="Parts that one calls good and another defective.")
