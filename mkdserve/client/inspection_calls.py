"""The calls for verdicts: POST /score and POST /localize."""

from __future__ import annotations

from functools import partial
from typing import Literal, TypeVar

import httpx

from mkdserve.client.calls import Call, Value, params
from mkdserve.client.images import ImageInput, parts
from mkdserve.client.schema import read
from mkdserve.client.verdicts import LocalizedVerdict, Reply, Verdict, Wire, reply

V = TypeVar("V", bound=Verdict)


def score(
    *images: ImageInput,
    product: str | None = None,
    max_false_reject: float | None = None,
    review: bool = True,
    line: str | None = None,
    station: str | None = None,
    part_id: str | None = None,
    request_id: str | None = None,
    deadline_s: float | None = None,
) -> Call[Reply[Verdict]]:
    """Score, p-value and decision for each image; an image that cannot be judged is an `ImageError` among them.

    `product` may be left out where the service has one only. `max_false_reject` is the share of good parts called NG
    at most; without `review` the decision is OK or NG. `line`, `station` and `part_id` are noted with the verdict.
    """
    query = _query(product, max_false_reject, line, station, part_id, review=review)
    return _judged("/score", Wire[Verdict], images, product, query, request_id, deadline_s)


def localize(
    *images: ImageInput,
    product: str | None = None,
    overlay: bool | Literal["heat", "outline"] = False,
    mask: bool = False,
    max_false_reject: float | None = None,
    review: bool = True,
    line: str | None = None,
    station: str | None = None,
    part_id: str | None = None,
    request_id: str | None = None,
    deadline_s: float | None = None,
) -> Call[Reply[LocalizedVerdict]]:
    """As score, with the map as an array, its scale and regions; overlay and mask where they are asked for."""
    query = _query(product, max_false_reject, line, station, part_id, review=review)
    query |= {"overlay": overlay or None, "mask": mask or None}
    return _judged("/localize", Wire[LocalizedVerdict], images, product, query, request_id, deadline_s)


def _query(
    product: str | None,
    max_false_reject: float | None,
    line: str | None,
    station: str | None,
    part_id: str | None,
    *,
    review: bool,
) -> dict[str, Value]:
    return {
        "product": product,
        "max_false_reject": max_false_reject,
        "review": None if review else "off",
        "line": line,
        "station": station,
        "part_id": part_id,
    }


def _judged(
    path: str,
    wire: type[Wire[V]],
    images: tuple[ImageInput, ...],
    product: str | None,
    query: dict[str, Value],
    request_id: str | None,
    deadline_s: float | None,
) -> Call[Reply[V]]:
    if not images:
        raise ValueError("give at least one image")
    return Call(
        method="POST",
        path=path,
        read=partial(_read, wire, len(images), product),
        params=params(query),
        headers={"X-Request-Id": request_id} if request_id else {},
        files=parts(images),
        deadline_s=deadline_s,
    )


def _read(wire: type[Wire[V]], images: int, product: str | None, answer: httpx.Response) -> Reply[V]:
    return reply(read(wire, answer), images, product)
