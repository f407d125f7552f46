"""Reads the images of a request in any of its three forms, in order and still encoded.

- multipart/form-data with the repeatable field `image`
- a raw image/* (or application/octet-stream) body: one image
- application/json: {"images": [{"data": "<base64>", "name": "optional"}]}

What breaks the request as a whole raises; what is wrong with one image is left to that image's entry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from service.errors import NoImages, UnsupportedBody
from service.inspection.encoded_image import EncodedImage
from service.rest.bodies.json_images import JsonImages
from service.rest.bodies.multipart import ImageParts
from service.rest.bodies.raw import RawImage
from service.rest.bodies.reader import Arriving, BodyLimits, declared_length, pieces

P = ParamSpec("P")
T = TypeVar("T")

MULTIPART = "multipart/form-data"
JSON = "application/json"
RAW = "application/octet-stream"
BATCH_BYTES = 256 << 10  # read at a time in a thread; a body that is no longer than ON_LOOP_BYTES is read without one
ON_LOOP_BYTES = 64 << 10


class InThread(Protocol):
    """Runs a function outside the event loop."""

    async def __call__(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...


class Form(Protocol):
    """A form of body that is fed with pieces."""

    def write(self, piece: bytes) -> None: ...

    def finish(self) -> list[EncodedImage]: ...


class JsonImage(BaseModel):
    """One image of the JSON form."""

    model_config = ConfigDict(extra="forbid")

    data: str = Field(description="The image file in base64 (RFC 4648, with padding).")
    name: str | None = Field(default=None, max_length=1024, description="A name to find it by in the answer.")


def check_content_type(request: Request) -> str:
    """The media type, in lower case without parameters; raises UnsupportedBody for one that is not taken."""
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type in (MULTIPART, JSON, RAW) or (media_type.startswith("image/") and len(media_type) > len("image/")):
        encoding = request.headers.get("content-encoding", "identity").lower()
        if encoding != "identity":
            raise UnsupportedBody(f"Content-Encoding {encoding!r} is not taken; send the body as it is")
        return media_type
    raise UnsupportedBody(
        f"Content-Type {media_type or 'is missing'}; send {MULTIPART} with fields `image`, an image/* body, or {JSON}"
    )


async def read_images(
    request: Request, limits: BodyLimits, in_thread: InThread, permit: Arriving | None = None
) -> list[EncodedImage]:
    """All images of the request, in order: at least 1, at most `limits.max_images`.

    `in_thread` runs a function outside the event loop, where every body but a short one is read, a bounded piece at a
    time; no piece is kept once it has been read. `permit` counts the bytes that arrive.
    Raises UnsupportedBody, MalformedRequest, BodyTooLarge, BodyTooSlow, TooManyImages, NoImages, RequestCancelled.
    """
    form = _form_of(request, limits)
    batch: list[bytes] = []
    size, threaded = 0, False
    async for piece in pieces(request, limits, permit):
        batch.append(piece)
        size += len(piece)
        if size >= BATCH_BYTES:
            await in_thread(_write, form, batch)
            batch, size, threaded = [], 0, True
    if threaded or size > ON_LOOP_BYTES:
        images = await in_thread(_end, form, batch)
    else:
        images = _end(form, batch)
    if not images:
        raise NoImages("the request has no image: send at least one")
    return images


def _form_of(request: Request, limits: BodyLimits) -> Form:
    media_type = check_content_type(request)
    if media_type == MULTIPART:
        return ImageParts(request.headers["content-type"], limits)
    if media_type == JSON:
        return JsonImages(limits)
    return RawImage(limits, declared_length(request, limits))


def _write(form: Form, batch: list[bytes]) -> None:
    for piece in batch:
        form.write(piece)


def _end(form: Form, batch: list[bytes]) -> list[EncodedImage]:
    _write(form, batch)
    return form.finish()
