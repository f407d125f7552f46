"""In: the question whether a product has drifted, or an operator's word to begin anew. Out: the watch's state."""

from __future__ import annotations

from fastapi import APIRouter

from service.drift.observer import DriftObserver
from service.logs import event
from service.rest.dependencies import MayAdminister, MayInfer, TheService
from service.rest.drift_schemas import DriftReply
from service.rest.drift_view import drift_reply
from service.rest.openapi import problems_for
from service.rest.routes.operation import Name
from service.run.state import Service

router = APIRouter()


@router.get(
    "/products/{name}/drift",
    tags=["products"],
    summary="Are parts and pictures still as they were?",
    responses=problems_for(401, 403, 404, 422),
    dependencies=[MayInfer],
)
async def drift(name: Name, service: TheService) -> DriftReply:
    """Whether scores and input statistics are still those of the calibration images; docs/drift.md says how."""
    service.parts.registry.status(name)  # raises where there is no such product
    observer = _observer(service)
    return drift_reply(name, service.settings, observer.report(name) if observer else None)


@router.post(
    "/admin/products/{name}/drift/reset",
    tags=["admin"],
    summary="Begin the drift watch anew",
    responses=problems_for(401, 403, 404, 422),
    dependencies=[MayAdminister],
)
async def reset(name: Name, service: TheService) -> DriftReply:
    """After the lamp is changed: evidence and what was learnt of the production are forgotten, in this process."""
    service.parts.registry.status(name)
    event("admin", action="drift reset", product=name)
    observer = _observer(service)
    if observer is not None:
        observer.reset(name)
    return drift_reply(name, service.settings, None)


def _observer(service: Service) -> DriftObserver | None:
    return next((observer for observer in service.observers if isinstance(observer, DriftObserver)), None)
