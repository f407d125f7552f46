"""GET /export: what was judged, as a folder in the MVTec layout or as a Parquet file."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from starlette.responses import StreamingResponse

from service.feedback.rows import VerdictFilter
from service.rest.dependencies import MayView, TheFeedback
from service.rest.feedback_schemas import ExportQuery
from service.rest.feedback_view import seconds_of
from service.rest.openapi import problems_for

router = APIRouter(tags=["feedback"], dependencies=[MayView])
ExportParameters = Annotated[ExportQuery, Query()]
FILES = {
    "mvtec": ("application/x-tar", "reviewed.tar"),
    "parquet": ("application/vnd.apache.parquet", "verdicts.parquet"),
}


@router.get(
    "/export",
    summary="Take what was judged along",
    response_class=Response,
    responses={
        200: {"content": {kind: {} for kind, _ in FILES.values()}, "description": "The file, as it is made."},
        **problems_for(401, 403, 422, 501, 503),
    },
)
async def export(feedback: TheFeedback, query: ExportParameters) -> Response:
    """A tar of the pictures that people agree on, or a row for each verdict. An export that breaks off is not whole."""
    wanted = VerdictFilter(product=query.product, since=seconds_of(query.since))
    kind, name = FILES[query.form]
    pieces = feedback.export(query.form, wanted)
    return StreamingResponse(pieces, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})
