"""POST /score and POST /localize: images are read, the core judges them, one verdict or error each goes back."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from service.inspection.context import InspectionContext
from service.inspection.deadlines import in_time
from service.inspection.inspector import Inspector
from service.inspection.options import InspectionOptions, PictureOptions
from service.inspection.verdict import ImageFailure, Verdict
from service.rest.admission_check import permit_of
from service.rest.bodies.forms import check_content_type, read_images
from service.rest.bodies.reader import BodyLimits, declared_length
from service.rest.dependencies import (
    KnownParameters,
    LocalizeParameters,
    MayInfer,
    ScoreParameters,
    TheContext,
    TheInspector,
    TheOptions,
)
from service.rest.direct_route import DirectRoute
from service.rest.disconnect import unless_client_leaves
from service.rest.openapi import INFER_RESPONSES, LOCALIZE_EXAMPLE, REQUEST_BODY, SCORE_EXAMPLE
from service.rest.schemas import Context, LocalizeReply, ScoreQuery, ScoreReply
from service.rest.verdict_view import entry_of

router = APIRouter(tags=["inspection"], dependencies=[MayInfer, KnownParameters], route_class=DirectRoute)
Entries = list[Verdict | ImageFailure]


@router.post(
    "/score",
    summary="Judge images",
    response_model=ScoreReply,
    responses={200: SCORE_EXAMPLE, **INFER_RESPONSES},
    openapi_extra=REQUEST_BODY,
)
async def score(
    request: Request, inspector: TheInspector, options: TheOptions, query: ScoreParameters, context: TheContext
) -> Response:
    """Score, p-value and decision (OK, REVIEW or NG) for each image, or an `error` for one that cannot be judged."""
    found = await inspect(request, inspector, options.body_limits, query, None, context)
    return reply(ScoreReply, context, found)


@router.post(
    "/localize",
    summary="Judge images and show where",
    response_model=LocalizeReply,
    responses={200: LOCALIZE_EXAMPLE, **INFER_RESPONSES},
    openapi_extra=REQUEST_BODY,
)
async def localize(
    request: Request, inspector: TheInspector, options: TheOptions, query: LocalizeParameters, context: TheContext
) -> Response:
    """As /score, with the map on the product's fixed scale, its regions and, where asked for, overlay and mask."""
    pictures = PictureOptions(overlay=query.overlay_style, mask=query.mask)
    found = await inspect(request, inspector, options.body_limits, query, pictures, context)
    return await inspector.threads.run(reply, LocalizeReply, context, found)


async def inspect(
    request: Request,
    inspector: Inspector,
    limits: BodyLimits,
    query: ScoreQuery,
    pictures: PictureOptions | None,
    context: InspectionContext,
) -> Entries:
    """The verdicts of one request. What can be refused without reading the body is refused before it is read."""
    check_content_type(request)
    declared_length(request, limits)
    options = InspectionOptions(query.max_false_reject, query.review == "on", pictures)
    async with inspector.open(query.product, options, context) as inspection:
        permit = permit_of(request)  # given back by the middleware when the answer has left
        images = await in_time(read_images(request, limits, inspector.threads.run, permit), context.deadline)
        return await unless_client_leaves(request, inspection.judge(images, permit))


def reply(schema: type[ScoreReply | LocalizeReply], context: InspectionContext, found: Entries) -> Response:
    """The reply without its empty members; it is built from checked parts and is not checked a second time."""
    line = context.line.members()
    body = schema.model_construct(
        request_id=context.request_id,
        context=Context(**line) if line else None,
        results=[entry_of(one) for one in found],
    )
    return Response(body.model_dump_json(exclude_none=True), media_type="application/json")
