"""New thresholds from parts that people have confirmed: proposed, looked at, and applied."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from service.feedback.rows import ANONYMOUS
from service.rest.dependencies import (
    MayAdminister,
    MayReview,
    MayView,
    RecalibrationRequest,
    TheRecalibrator,
    TheRecord,
)
from service.rest.feedback_schemas import LARGEST_ID
from service.rest.openapi import json_body, problems_for
from service.rest.recalibration_schemas import RecalibrationBody, RecalibrationList, RecalibrationReply
from service.rest.recalibration_view import asked_of, reply_of
from service.rest.request_record import log_admin
from service.rest.routes.operation import Name

router = APIRouter(prefix="/products/{name}/recalibrations", tags=["feedback"])
Number = Annotated[int, Path(ge=1, le=LARGEST_ID, description="Id of the recalibration.")]


@router.post(
    "",
    status_code=202,
    summary="Propose thresholds from confirmed parts",
    responses=problems_for(400, 401, 403, 404, 408, 409, 413, 415, 422, 503),
    openapi_extra=json_body(RecalibrationBody, required=False),
    dependencies=[MayReview],
)
async def propose(
    name: Name, recalibrator: TheRecalibrator, body: RecalibrationRequest, record: TheRecord
) -> RecalibrationReply:
    """Computed in the background, one of a product at a time; nothing changes before it is applied."""
    return reply_of(await recalibrator.propose(name, asked_of(body), record.caller or ANONYMOUS))


@router.get(
    "",
    summary="The recalibrations of a product",
    responses=problems_for(401, 403, 404, 422, 503),
    dependencies=[MayView],
)
async def recalibrations(name: Name, recalibrator: TheRecalibrator) -> RecalibrationList:
    """Newest first."""
    return RecalibrationList(recalibrations=[reply_of(one) for one in await recalibrator.newest(name)])


@router.get(
    "/{id}",
    summary="How a recalibration stands",
    responses=problems_for(401, 403, 404, 422, 503),
    dependencies=[MayView],
)
async def recalibration(name: Name, id: Number, recalibrator: TheRecalibrator) -> RecalibrationReply:
    """What it would change and what it promises, or why it was refused and what would help."""
    return reply_of(await recalibrator.one(name, id))


@router.post(
    "/{id}/apply",
    summary="Make a proposal the active version",
    responses=problems_for(401, 403, 404, 409, 422, 503),
    dependencies=[MayAdminister],
)
async def apply(name: Name, id: Number, recalibrator: TheRecalibrator, record: TheRecord) -> RecalibrationReply:
    """Writes the product's next version with the new thresholds and activates it; a rollback goes back."""
    log_admin(record, "recalibrate", name, str(id))
    return reply_of(await recalibrator.apply(name, id, record.caller or ANONYMOUS))
