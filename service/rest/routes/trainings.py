"""A first training over HTTP: pictures come in, a child process trains, people look, stop or activate."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Path, Query, Request

from models.names import WHOLE_NAME
from service.errors import TooFewPictures, TrainingsOff
from service.rest.bodies.pictures import check_form, keep_pictures
from service.rest.dependencies import MayAdminister, TheInspector, TheOptions, TheProducts, TheRecord
from service.rest.openapi import PICTURES_BODY, problems_for
from service.rest.product_schemas import ProductSummary
from service.rest.product_view import summary_of
from service.rest.request_record import log_admin
from service.rest.routes.operation import Name
from service.rest.training_schemas import Training, TrainingList, TrainingQuery
from service.rest.training_view import shown
from service.trainings.record import TrainingRecord
from service.trainings.trainings import Trainings

FEWEST_PICTURES = 8  # the trainer takes no fewer
LONGEST_UPLOAD_S = 6 * 3600.0  # the pauses and the rate of a body are bounded as those of any other

router = APIRouter(prefix="/products/{name}/trainings", tags=["trainings"], dependencies=[MayAdminister])
Id = Annotated[str, Path(pattern=WHOLE_NAME, description="Id of the training.", examples=["20261128-101500"])]


async def trainings(request: Request) -> Trainings:
    """The trainings of this service. Raises TrainingsOff where there are none."""
    found = cast("Trainings | None", request.state.trainings)
    if found is None:
        raise TrainingsOff("trainings over HTTP are switched off (setting training_folder)")
    return found


TheTrainings = Annotated[Trainings, Depends(trainings)]


@router.post(
    "",
    summary="Train a product on pictures of good parts",
    status_code=202,
    responses=problems_for(400, 401, 403, 408, 409, 413, 415, 422, 503, 507),
    openapi_extra=PICTURES_BODY,
)
async def start(
    request: Request,
    name: Name,
    query: Annotated[TrainingQuery, Query()],
    trainings: TheTrainings,
    inspector: TheInspector,
    options: TheOptions,
    record: TheRecord,
) -> Training:
    """Keeps the pictures, starts the training and returns; what is no picture is listed and left out."""
    limits = replace(
        options.body_limits,
        max_bytes=trainings.options.max_bytes,
        max_images=trainings.options.max_pictures,
        whole_s=LONGEST_UPLOAD_S,
    )
    announced = check_form(request, limits)
    log_admin(record, "train", name, query.version)
    async with trainings.begin(name, query.version, announced) as beginning:
        folder = beginning.folder
        found = await keep_pictures(request, limits, inspector.image_limits, inspector.threads, folder.pictures)
        if found.kept < FEWEST_PICTURES:
            refused = "; ".join(f"{one.name}: {one.detail}" for one in found.refused[:3])
            words = f"{found.kept} pictures can be used, {FEWEST_PICTURES} are needed at least"
            raise TooFewPictures(f"{words}{'; refused: ' if refused else ''}{refused}")
        id = folder.path.name
        begun = TrainingRecord(
            id=id,
            product=name,
            version=query.version or id,
            method=query.method,
            state="running",
            at=datetime.now(UTC),
            by=record.caller,
            pictures=found.kept,
            refused=found.all_refused(),
        )
        return shown(trainings.run(beginning, begun, [*query.flags(), *found.region_flags]), folder)


@router.get("", summary="All trainings of a product", responses=problems_for(401, 403, 422, 503))
async def listed(name: Name, trainings: TheTrainings) -> TrainingList:
    """Newest first; also those of a product that no artifact was ever made for."""
    return TrainingList(trainings=[shown(*each) for each in trainings.all(name)])


@router.get("/{id}", summary="One training", responses=problems_for(401, 403, 404, 422, 503))
async def one(name: Name, id: Id, trainings: TheTrainings) -> Training:
    """State, progress and the end of the log."""
    return shown(*trainings.one(name, id))


@router.delete(
    "/{id}", summary="Stop a training, or remove one that is over", responses=problems_for(401, 403, 404, 422, 503, 507)
)
async def stop(name: Name, id: Id, trainings: TheTrainings, record: TheRecord) -> Training:
    """A training that is stopped leaves no artifact. Of one that is over, pictures, log and record are removed."""
    log_admin(record, "stop training", name, id)
    by = f" by {record.caller}" if record.caller else ""
    found, folder = trainings.one(name, id)
    return shown(await trainings.stop(found, folder, f"stopped{by}"), folder)


@router.post(
    "/{id}/activate",
    summary="Serve what a training has made",
    responses=problems_for(401, 403, 404, 409, 422, 503, 507),
)
async def activate(
    name: Name, id: Id, trainings: TheTrainings, products: TheProducts, record: TheRecord
) -> ProductSummary:
    """The artifact goes into the artifact folder, is verified and warmed up, and made the active version, pinned."""
    log_admin(record, "activate training", name, id)
    async with trainings.installed(name, id) as version:
        status = await products.activate(name, version)
    return summary_of(status)
