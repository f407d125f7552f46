"""Counts over what was judged and what people said of it."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Query

from service.feedback.counts import Parts
from service.feedback.rows import VerdictFilter
from service.rest.dependencies import MayView, TheFeedback
from service.rest.feedback_view import filter_of, seconds_of, time_of
from service.rest.openapi import problems_for
from service.rest.statistics_schemas import (
    DecisionCounts,
    DefectParts,
    GoodParts,
    StatisticsQuery,
    StatisticsReply,
    SummaryQuery,
    SummaryReply,
)

SHIFT_S = 8 * 3600.0
router = APIRouter(tags=["feedback"], dependencies=[MayView], responses=problems_for(401, 403, 422, 503))
StatisticsParameters = Annotated[StatisticsQuery, Query()]
SummaryParameters = Annotated[SummaryQuery, Query()]


@router.get("/statistics", summary="Decisions over time")
async def statistics(feedback: TheFeedback, query: StatisticsParameters) -> StatisticsReply:
    """Decisions in equal parts of the time up to now, and how p-values lie."""
    now = time.time()
    since = seconds_of(query.since)
    found = await feedback.statistics(filter_of(query), now - SHIFT_S if since is None else since, now, query.buckets)
    return StatisticsReply(
        decisions=[
            DecisionCounts.model_validate({"from": time_of(begin), **counts}) for begin, counts in found.buckets
        ],
        p_values=found.p_values,
        waiting=found.waiting,
    )


@router.get("/reviews/summary", summary="What judgements say of the decisions")
async def summary(feedback: TheFeedback, query: SummaryParameters) -> SummaryReply:
    """False rejects, misses and detection rate by class of defect; docs/feedback.md says what they estimate."""
    found = await feedback.summary(VerdictFilter(product=query.product, since=seconds_of(query.since)))
    defects = [
        DefectParts.model_validate(
            {
                "class": name,
                **members_of(parts),
                "misses_estimated": parts.misses_estimated,
                "detection_rate": parts.detection_rate,
            }
        )
        for name, parts in sorted(found.defects.items(), key=lambda item: item[0] or "")
    ]
    good = GoodParts.model_validate(members_of(found.good))
    return SummaryReply(good=good, defects=defects, unsure=found.unsure, disagreements=found.disagreed)


def members_of(parts: Parts) -> dict[str, object]:
    """The members of GoodParts."""
    spot_checks = {"parts": sum(parts.spot_checks.values()), **parts.spot_checks}
    return {"parts": parts.parts, **parts.decisions, "spot_checks": spot_checks}
