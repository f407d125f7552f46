"""In: POST /score and POST /localize with images. Out: one verdict or error per image, in order."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from models.calibration.conformal import Calibration, Thresholds
from service.errors import RateNotPromised
from service.inspection.deadlines import in_time, seconds_to
from service.inspection.encode import Wanted
from service.inspection.inspection import Entry, Inspection, Order
from service.rest.bodies.forms import check_content_type, read_images
from service.rest.bodies.reader import declared_length
from service.rest.dependencies import (
    Deadline,
    LineContext,
    LocalizeParameters,
    MayInfer,
    ScoreParameters,
    TheRecord,
    TheService,
)
from service.rest.disconnect import unless_client_leaves
from service.rest.openapi import INFER_RESPONSES, LOCALIZE_EXAMPLE, REQUEST_BODY, SCORE_EXAMPLE
from service.rest.request_record import RequestRecord
from service.rest.schemas import LocalizeReply, ScoreQuery, ScoreReply
from service.run.state import Service

router = APIRouter(tags=["inspection"], dependencies=[MayInfer])


@router.post(
    "/score",
    summary="Judge images",
    response_model=ScoreReply,
    responses={200: SCORE_EXAMPLE, **INFER_RESPONSES},
    openapi_extra=REQUEST_BODY,
)
async def score(
    request: Request,
    service: TheService,
    record: TheRecord,
    query: ScoreParameters,
    deadline: Deadline,
    context: LineContext,
) -> Response:
    """Score, p-value and decision (OK, REVIEW or NG) for each image, or an `error` for one that cannot be judged."""
    results = await inspect(request, service, record, query, deadline, None)
    reply = ScoreReply.model_construct(request_id=record.request_id, context=context, results=results)
    return as_json(reply)


@router.post(
    "/localize",
    summary="Judge images and show where",
    response_model=LocalizeReply,
    responses={200: LOCALIZE_EXAMPLE, **INFER_RESPONSES},
    openapi_extra=REQUEST_BODY,
)
async def localize(
    request: Request,
    service: TheService,
    record: TheRecord,
    query: LocalizeParameters,
    deadline: Deadline,
    context: LineContext,
) -> Response:
    """As /score, with the map on the product's fixed scale, its regions and, where asked for, overlay and mask."""
    wanted = Wanted(overlay=query.overlay, mask=query.mask)
    results = await inspect(request, service, record, query, deadline, wanted)
    reply = LocalizeReply.model_construct(request_id=record.request_id, context=context, results=results)
    return await service.threads.run(as_json, reply)


async def inspect(
    request: Request,
    service: Service,
    record: RequestRecord,
    query: ScoreQuery,
    deadline: float | None,
    wanted: Wanted | None,
) -> list[Entry]:
    """The entries of one request. What can be refused without reading the body is refused before it is read."""
    check_content_type(request)
    length = declared_length(request, service.body_limits)
    parts = service.parts
    async with parts.registry.lease(query.product, deadline=deadline) as version:
        record.product, record.version = version.name, version.version
        thresholds = choose_thresholds(version.calibration, query)
        with parts.engine.admission.enter(1, length or 0, patience_s=seconds_to(deadline)) as permit:
            hold = permit if length is None else None  # a declared length is held already
            images = await in_time(read_images(request, service.body_limits, service.threads.run, hold), deadline)
            record.images = len(images)
            permit.grow(images=len(images) - 1)
            inspection = Inspection(service, record, Order(version, thresholds, deadline, wanted))
            return await unless_client_leaves(request, inspection.run(images))


def choose_thresholds(calibration: Calibration, query: ScoreQuery) -> Thresholds:
    """The stored thresholds, or those of the rate asked for; raises RateNotPromised for one that is too small."""
    rate = query.max_false_reject
    fitted = calibration.smallest_fitted_rate
    smallest = calibration.smallest_rate if fitted is None else fitted
    if rate is not None and rate < smallest:
        more = f", and none under {fitted:.3g} fitted" if fitted is not None else ""
        raise RateNotPromised(
            f"max_false_reject {rate:g}: with {len(calibration.scores)} calibration images no rate under "
            f"{calibration.smallest_rate:.3g} can be promised{more}"
        )
    return calibration.thresholds(rate, review=query.review == "on")


def as_json(reply: ScoreReply | LocalizeReply) -> Response:
    """The reply without its empty members; it was built from checked parts and is not checked a second time."""
    return Response(reply.model_dump_json(exclude_none=True), media_type="application/json")
