"""What an operator may do to a product: load, activate, unpin, roll back, unload; a refusal changes nothing."""

from __future__ import annotations

from fastapi import APIRouter

from service.logs import event
from service.rest.dependencies import LoadRequest, MayAdminister, TheProducts, VersionRequest
from service.rest.openapi import json_body, problems_for
from service.rest.product_schemas import LoadBody, ProductSummary, VersionBody
from service.rest.product_view import summary_of
from service.rest.routes.operation import Name

router = APIRouter(
    prefix="/admin/products/{name}",
    tags=["admin"],
    dependencies=[MayAdminister],
    responses=problems_for(400, 401, 403, 404, 408, 409, 413, 415, 422, 503),
)


@router.post(
    "/load", summary="Read the folder anew and load a version", openapi_extra=json_body(LoadBody, required=False)
)
async def load(name: Name, products: TheProducts, body: LoadRequest) -> ProductSummary:
    """Loads, verifies and warms the version up, then switches to it in one step where it should be the active one."""
    event("admin", action="load", product=name, version=body.version)
    return summary_of(await products.load(name, body.version))


@router.post("/activate", summary="Make a version the active one and pin it", openapi_extra=json_body(VersionBody))
async def activate(name: Name, products: TheProducts, body: VersionRequest) -> ProductSummary:
    """Requests in flight finish on the old version. The pin outlives a restart where there is a state file."""
    event("admin", action="activate", product=name, version=body.version)
    return summary_of(await products.activate(name, body.version))


@router.post("/unpin", summary="Follow the highest version again")
async def unpin(name: Name, products: TheProducts) -> ProductSummary:
    """Takes the pin away that activate or rollback has set."""
    event("admin", action="unpin", product=name)
    return summary_of(await products.unpin(name))


@router.post("/rollback", summary="Back to the version before")
async def rollback(name: Name, products: TheProducts) -> ProductSummary:
    """Makes the version active again that was so before, and pins it."""
    event("admin", action="rollback", product=name)
    return summary_of(await products.rollback(name))


@router.post("/unload", summary="Serve the product no more")
async def unload(name: Name, products: TheProducts) -> ProductSummary:
    """Until load or activate; requests in flight finish."""
    event("admin", action="unload", product=name)
    return summary_of(await products.unload(name))
