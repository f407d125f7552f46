"""What an operator may do to a product: load, activate, unpin, roll back, unload; a refusal changes nothing."""

from __future__ import annotations

from fastapi import APIRouter

from service.rest.dependencies import LoadRequest, MayAdminister, TheProducts, TheRecord, VersionRequest
from service.rest.openapi import json_body, problems_for
from service.rest.product_schemas import LoadBody, ProductSummary, VersionBody
from service.rest.product_view import summary_of
from service.rest.request_record import log_admin
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
async def load(name: Name, products: TheProducts, record: TheRecord, body: LoadRequest) -> ProductSummary:
    """Loads, verifies and warms the version up, then switches to it in one step where it should be the active one."""
    log_admin(record, "load", name, body.version)
    return summary_of(await products.load(name, body.version))


@router.post("/activate", summary="Make a version the active one and pin it", openapi_extra=json_body(VersionBody))
async def activate(name: Name, products: TheProducts, record: TheRecord, body: VersionRequest) -> ProductSummary:
    """Requests in flight finish on the old version. The pin outlives a restart where there is a state file."""
    log_admin(record, "activate", name, body.version)
    return summary_of(await products.activate(name, body.version))


@router.post("/unpin", summary="Follow the highest version again")
async def unpin(name: Name, products: TheProducts, record: TheRecord) -> ProductSummary:
    """Takes the pin away that activate or rollback has set."""
    log_admin(record, "unpin", name)
    return summary_of(await products.unpin(name))


@router.post("/rollback", summary="Back to the version before")
async def rollback(name: Name, products: TheProducts, record: TheRecord) -> ProductSummary:
    """Makes the version active again that was so before, and pins it."""
    log_admin(record, "rollback", name)
    return summary_of(await products.rollback(name))


@router.post("/unload", summary="Serve the product no more")
async def unload(name: Name, products: TheProducts, record: TheRecord) -> ProductSummary:
    """Until load or activate; requests in flight finish."""
    log_admin(record, "unload", name)
    return summary_of(await products.unload(name))
