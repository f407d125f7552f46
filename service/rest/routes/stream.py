"""POST /score/stream: a tar of thousands of images comes in, and a line of JSON goes out for each as it is judged."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from service.errors import UnsupportedBody
from service.inspection.options import InspectionOptions
from service.rest.admission_check import decision_of, permit_of
from service.rest.bodies.forms import RAW
from service.rest.bodies.tar_members import TAR
from service.rest.dependencies import KnownParameters, MayInfer, ScoreParameters, TheChecks, TheContext, TheInspector
from service.rest.openapi import INFER_RESPONSES, STREAM_BODY, STREAM_EXAMPLE
from service.rest.score_stream import LinesResponse, StreamedVerdicts

router = APIRouter(tags=["inspection"], dependencies=[MayInfer, KnownParameters])


@router.post(
    "/score/stream",
    summary="Judge a stream of images",
    response_class=LinesResponse,
    responses={200: STREAM_EXAMPLE, **INFER_RESPONSES},
    openapi_extra=STREAM_BODY,
)
async def score_stream(
    request: Request, inspector: TheInspector, checks: TheChecks, query: ScoreParameters, context: TheContext
) -> Response:
    """As /score, for a tar archive of any length: a line for each of its files as soon as it is judged."""
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type not in (TAR, RAW) or request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedBody(f"send a tar archive that is not compressed, as {TAR}")
    permit_of(request)
    options = InspectionOptions(query.max_false_reject, query.review == "on")
    return StreamedVerdicts(inspector, query.product, options, context, checks, decision_of(request))
