"""Whether a product has drifted, and the operator's order to begin its watch anew."""

from __future__ import annotations

from fastapi import APIRouter

from service.rest.dependencies import (
    MayAdminister,
    MayInferOrView,
    TheDriftObserver,
    TheOptions,
    TheProducts,
    TheRecord,
)
from service.rest.drift_schemas import DriftReply
from service.rest.drift_view import drift_reply
from service.rest.openapi import problems_for
from service.rest.request_record import log_admin
from service.rest.routes.operation import Name

router = APIRouter()


@router.get(
    "/products/{name}/drift",
    tags=["products"],
    summary="Are parts and pictures still as they were?",
    responses=problems_for(401, 403, 404, 422),
    dependencies=[MayInferOrView],
)
async def drift(name: Name, products: TheProducts, observer: TheDriftObserver, options: TheOptions) -> DriftReply:
    """Whether scores and input statistics are still those of the calibration images; docs/drift.md says how."""
    products.status(name)  # raises where there is no such product
    return drift_reply(name, options, observer.report(name) if observer else None)


@router.post(
    "/admin/products/{name}/drift/reset",
    tags=["admin"],
    summary="Begin the drift watch anew",
    responses=problems_for(401, 403, 404, 422),
    dependencies=[MayAdminister],
)
async def reset(
    name: Name, products: TheProducts, observer: TheDriftObserver, options: TheOptions, record: TheRecord
) -> DriftReply:
    """After the lamp is changed: evidence and what was learnt of the production are forgotten, in this process."""
    products.status(name)
    log_admin(record, "drift reset", name)
    if observer is not None:
        observer.reset(name)
    return drift_reply(name, options, None)
