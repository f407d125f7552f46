"""What people say of parts: the queue of those that wait, judgements, and their withdrawal."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from service.feedback.rows import ANONYMOUS, Said
from service.rest.dependencies import MayReview, MayView, ReviewRequest, TheFeedback, TheRecord
from service.rest.feedback_schemas import LARGEST_ID, QueueQuery, ReviewBody, ReviewQueue, ReviewRow
from service.rest.feedback_view import filter_of, queue_json, review_of
from service.rest.openapi import json_body, problems_for
from service.rest.routes.verdicts import VerdictId

router = APIRouter(tags=["feedback"])
ReviewId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="Id of the review.")]
QueueParameters = Annotated[QueueQuery, Query()]


@router.get(
    "/reviews",
    summary="What waits for a person's judgement",
    response_model=ReviewQueue,
    responses=problems_for(401, 403, 422, 503),
    dependencies=[MayView],
)
async def queue(feedback: TheFeedback, query: QueueParameters) -> Response:
    """Parts of REVIEW and NG and spot checks whose picture is kept and that nobody has judged, oldest first."""
    found, waiting = await feedback.queue(filter_of(query), query.limit)
    return Response(await feedback.in_thread(queue_json, found, waiting), media_type="application/json")


@router.post(
    "/verdicts/{id}/reviews",
    status_code=201,
    summary="Say what a part is",
    responses=problems_for(400, 401, 403, 404, 408, 409, 413, 415, 422, 503),
    openapi_extra=json_body(ReviewBody),
    dependencies=[MayReview],
)
async def judge(feedback: TheFeedback, id: VerdictId, body: ReviewRequest, record: TheRecord) -> ReviewRow:
    """good, defect or unsure. Of each person one review stands; an own unsure gives way to what follows."""
    said = Said(body.label, body.defect_class, body.note)
    return review_of(await feedback.judge(id, said, record.caller or ANONYMOUS))


@router.delete(
    "/reviews/{id}",
    summary="Withdraw a review",
    responses=problems_for(401, 403, 404, 422, 503),
    dependencies=[MayReview],
)
async def withdraw(feedback: TheFeedback, id: ReviewId, record: TheRecord) -> ReviewRow:
    """One's own, or any with the scope admin. It stays to be seen, with the time of its withdrawal."""
    return review_of(await feedback.withdraw(id, record.caller or ANONYMOUS, may_all=record.is_admin))
