"""Health, readiness, metrics, version and the products, for probes, scrapers and people who look."""

from __future__ import annotations

import platform
from typing import Annotated

import torch
from fastapi import APIRouter, Path, Response

from models.names import WHOLE_NAME
from models.version import service_version
from service.metrics import CONTENT_TYPE
from service.rest.dependencies import MayInferOrView, MayReadMetrics, TheOperation, TheProducts
from service.rest.openapi import problems_for
from service.rest.product_schemas import ProductDetail, ProductList
from service.rest.product_view import detail_of, summary_of
from service.rest.schemas import Health, Readiness, Version

router = APIRouter()
Name = Annotated[str, Path(pattern=WHOLE_NAME, description="Name of the product.", examples=["screw"])]


@router.head("/healthz", include_in_schema=False)
@router.get(
    "/healthz",
    tags=["operation"],
    summary="Does the process run?",
    responses={503: {"model": Health, "description": "It cannot help itself any more: restart it."}},
)
async def healthz(operation: TheOperation, response: Response) -> Health:
    """200 as long as the process can help itself; 503 asks to be restarted. Load and products do not change it."""
    alive = operation.live()
    response.status_code = 200 if alive else 503
    return Health(status="ok" if alive else "dead")


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    tags=["operation"],
    summary="Will requests be judged?",
    responses={503: {"model": Readiness, "description": "Not ready, with the reason."}},
)
async def readyz(operation: TheOperation, response: Response) -> Readiness:
    """200 or 503, with the reason. Load does not change it; shutting down does."""
    ready, reason = operation.ready()
    response.status_code = 200 if ready else 503
    if not ready:
        response.headers["Retry-After"] = "1"
    return Readiness(ready=ready, reason=reason)


@router.get(
    "/metrics",
    tags=["operation"],
    summary="Prometheus metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "All metrics."}, **problems_for(401, 403)},
    dependencies=[MayReadMetrics],
)
async def metrics(operation: TheOperation) -> Response:
    """All metrics in Prometheus' text format; docs list them."""
    return Response(await operation.metrics_page(), media_type=CONTENT_TYPE)


@router.get("/version", tags=["operation"], summary="What runs?")
async def version(operation: TheOperation) -> Version:
    """Versions of the service, Python and torch, and by device what runs each source and why."""
    return Version(
        version=service_version(),
        python=platform.python_version(),
        torch=torch.__version__,
        backends=operation.backends(),
    )


@router.get(
    "/products",
    tags=["products"],
    summary="All products",
    responses=problems_for(401, 403),
    dependencies=[MayInferOrView],
)
async def products(registry: TheProducts) -> ProductList:
    """Every product of the artifact folder, also those that could not be loaded, with the reason."""
    return ProductList(products=[summary_of(status) for status in registry.products()])


@router.get(
    "/products/{name}",
    tags=["products"],
    summary="One product",
    responses=problems_for(401, 403, 404, 422),
    dependencies=[MayInferOrView],
)
async def product(name: Name, registry: TheProducts) -> ProductDetail:
    """What the registry and the active artifact say of a product: versions, thresholds, and what they promise."""
    status = registry.status(name)
    if status.state != "served":  # asking must not load it
        return detail_of(status, None)
    async with registry.lease(name) as active:
        return detail_of(status, active)
