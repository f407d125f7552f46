"""Counts over stored verdicts, and what people's judgements say of the decisions."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from mkdserve.client.schema import Answer


class DecisionCounts(Answer):
    """Verdicts in one part of the time, which begins at `begins`."""

    begins: datetime = Field(alias="from")
    ok: int = Field(alias="OK")
    review: int = Field(alias="REVIEW")
    ng: int = Field(alias="NG")


class Statistics(Answer):
    """Decisions over time, 20 counts of p-values from 0 to 1, and the length of the review queue."""

    decisions: tuple[DecisionCounts, ...]
    p_values: tuple[int, ...]
    waiting: int


class ReviewedCounts(Answer):
    """Reviewed parts by how they were decided."""

    parts: int
    ok: int = Field(alias="OK")
    review: int = Field(alias="REVIEW")
    ng: int = Field(alias="NG")


class GoodParts(ReviewedCounts):
    """Parts that people call good; those of NG are false rejects. `spot_checks` are those drawn at random."""

    spot_checks: ReviewedCounts


class DefectParts(GoodParts):
    """Parts that people call defective, of one class (None: none was given); those of OK are misses.

    `misses_estimated` are among all parts, `detection_rate` is the share that was not let through, by that estimate.
    """

    name: str | None = Field(alias="class")
    misses_estimated: float
    detection_rate: float | None


class ReviewSummary(Answer):
    """Good and defective parts by their decisions; `disagreements` are called both by different people."""

    good: GoodParts
    defects: tuple[DefectParts, ...]
    unsure: int
    disagreements: int
