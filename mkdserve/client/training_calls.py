"""The calls for a first training: start, look, stop, activate."""

from __future__ import annotations

from functools import partial
from typing import Literal

import httpx

from mkdserve.client.calls import Call, Value, get, params, path, post
from mkdserve.client.images import ImageInput, Part, parts
from mkdserve.client.products import ProductSummary
from mkdserve.client.schema import read
from mkdserve.client.trainings import Training, TrainingList

ACCEPTED = frozenset({202})


def start_training(
    name: str,
    *images: ImageInput,
    version: str | None = None,
    method: str | None = None,
    image_size: int | None = None,
    review_rate: float | None = None,
    ng_rate: float | None = None,
    hold_out: float | None = None,
    calibrate_by: Literal["held-out", "folds"] | None = None,
    folds: int | None = None,
    accept_degenerate: bool = False,
    roi: ImageInput | None = None,
    ignore: ImageInput | None = None,
    deadline_s: float = 600.0,
) -> Call[Training]:
    """Send pictures of good parts and have them trained on; the training runs on when the call returns.

    `roi` is what alone is looked at, `ignore` what is not: a mask picture, or the bytes or path of polygons in JSON.
    `refused` lists those that are no images. Conflict where another training is under way.
    """
    given: dict[str, Value | tuple[str, ...]] = {
        "version": version,
        "method": method,
        "image_size": image_size,
        "review_rate": review_rate,
        "ng_rate": ng_rate,
        "hold_out": hold_out,
        "calibrate_by": calibrate_by,
        "folds": folds,
        "accept_degenerate": accept_degenerate or None,
    }
    return post(
        Training,
        *_trainings(name),
        params=params(given),
        files=(*parts(images), *_region("roi", roi), *_region("ignore", ignore)),
        statuses=ACCEPTED,
        repeatable=False,
        deadline_s=deadline_s,
    )


def _region(field: str, region: ImageInput | None) -> tuple[Part, ...]:
    return () if region is None else parts([region], field)


def trainings(name: str) -> Call[tuple[Training, ...]]:
    """All trainings of a product, newest first."""
    return Call(method="GET", path=path(*_trainings(name)), read=_listed)


def training(name: str, id: str) -> Call[Training]:
    """How one of them stands."""
    return get(Training, *_trainings(name), id)


def stop_training(name: str, id: str) -> Call[Training]:
    """Stop it; remove one that is over."""
    return Call(method="DELETE", path=path(*_trainings(name), id), read=partial(read, Training), repeatable=False)


def activate_training(name: str, id: str) -> Call[ProductSummary]:
    """Serve the artifact that it has made."""
    return post(ProductSummary, *_trainings(name), id, "activate", repeatable=False)


def _trainings(name: str) -> tuple[str, str, str]:
    return "products", name, "trainings"


def _listed(answer: httpx.Response) -> tuple[Training, ...]:
    return read(TrainingList, answer).trainings
