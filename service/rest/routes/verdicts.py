"""Stored verdicts: a list to go through, one of them, and its picture."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from service.rest.dependencies import MayView, TheFeedback
from service.rest.feedback_schemas import LARGEST_ID, StoredVerdict, VerdictPage, VerdictQuery
from service.rest.feedback_view import filter_of, row_of
from service.rest.openapi import problems_for

router = APIRouter(tags=["feedback"], dependencies=[MayView])
VerdictId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="Id of the stored verdict.")]
VerdictParameters = Annotated[VerdictQuery, Query()]
PRIVATE = {"Cache-Control": "private, max-age=3600"}  # a picture never changes


@router.get("/verdicts", summary="What was judged", responses=problems_for(401, 403, 422, 503))
async def verdicts(feedback: TheFeedback, query: VerdictParameters) -> VerdictPage:
    """Stored verdicts with their reviews, newest first; `next` leads on to older ones."""
    found = await feedback.verdicts(filter_of(query), query.before, query.limit)
    return VerdictPage.model_construct(
        verdicts=[row_of(row) for row in found], next=found[-1].id if len(found) == query.limit else None
    )


@router.get("/verdicts/{id}", summary="One stored verdict", responses=problems_for(401, 403, 404, 422, 503))
async def verdict(feedback: TheFeedback, id: VerdictId) -> StoredVerdict:
    """The verdict with all that people said of the part."""
    return row_of(await feedback.verdict(id))


@router.get(
    "/verdicts/{id}/picture",
    summary="The picture that was judged",
    response_class=Response,
    responses={
        200: {"content": {"image/*": {}}, "description": "The file as it was received."},
        **problems_for(401, 403, 404, 410, 422, 503),
    },
)
async def picture(feedback: TheFeedback, id: VerdictId) -> Response:
    """The file as it was received, where it is kept."""
    data, row = await feedback.picture(id)
    return Response(data, media_type=row.picture_type, headers=PRIVATE)
