"""Stored verdicts: a list to go through, one of them, its picture, and where that is unusual."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from service.feedback.localization import localize
from service.feedback.shown import group_png, shown_png
from service.inspection.context import InspectionContext
from service.rest.dependencies import MayView, TheDeadline, TheFeedback, TheInspector, TheRecord
from service.rest.feedback_schemas import LARGEST_ID, PictureQuery, StoredVerdict, VerdictPage, VerdictQuery
from service.rest.feedback_view import filter_of, page_json, row_of
from service.rest.openapi import problems_for
from service.rest.request_record import SURFACE
from service.rest.schemas import Localization
from service.rest.verdict_view import localization_of

router = APIRouter(tags=["feedback"], dependencies=[MayView])
VerdictId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="Id of the stored verdict.")]
PictureParameters = Annotated[PictureQuery, Query()]
VerdictParameters = Annotated[VerdictQuery, Query()]
SHOWN_BY_BROWSERS = frozenset({"image/png", "image/jpeg", "image/webp", "image/bmp"})
PRIVATE = {"Cache-Control": "private, max-age=3600"}  # a picture never changes


@router.get(
    "/verdicts",
    summary="What was judged",
    response_model=VerdictPage,
    responses=problems_for(401, 403, 422, 503),
)
async def verdicts(feedback: TheFeedback, query: VerdictParameters) -> Response:
    """Stored verdicts with their reviews, newest first; `next` leads on to older ones."""
    found = await feedback.verdicts(filter_of(query), query.before, query.limit)
    return Response(await feedback.in_thread(page_json, found, query.limit), media_type="application/json")


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
        **problems_for(401, 403, 404, 409, 410, 422, 500, 503),
    },
)
async def picture(feedback: TheFeedback, inspector: TheInspector, id: VerdictId, query: PictureParameters) -> Response:
    """The file as it was received, where it is kept; or as any browser shows it.

    The picture of a named group of channels is read by the version that judged the part, and is 409 without it.
    """
    data, row = await feedback.picture(id)
    as_it_is = query.form == "received" or (query.form == "shown" and row.picture_type in SHOWN_BY_BROWSERS)
    if query.group is not None:
        async with inspector.products.lease_loaded(row.product, row.hash) as version:
            png = await inspector.threads.run(group_png, data, inspector.image_limits, version.judge.views, query.group)
    elif as_it_is:
        return Response(data, media_type=row.picture_type, headers=PRIVATE)
    else:
        png = await inspector.threads.run(shown_png, data, inspector.image_limits)
    return Response(png, media_type="image/png", headers=PRIVATE)


@router.get(
    "/verdicts/{id}/localization",
    summary="Where the part is unusual",
    response_model_exclude_none=True,
    responses=problems_for(401, 403, 404, 409, 410, 422, 429, 500, 503, 504),
)
async def localization(
    feedback: TheFeedback, inspector: TheInspector, record: TheRecord, deadline: TheDeadline, id: VerdictId
) -> Localization:
    """Map and regions as /localize gives them, made now from the kept picture by the version that judged it.

    It is no verdict: nothing is stored, counted as a part, or recorded.
    """
    data, row = await feedback.picture(id)
    context = InspectionContext(record.request_id, SURFACE, deadline=deadline, caller=record.caller)
    found = await feedback.maps.get(id, lambda: localize(inspector, row, data, context))
    return await inspector.threads.run(localization_of, found)
