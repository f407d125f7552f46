"""In: a request of any of the three forms. Out: its images in order, still encoded.

- multipart/form-data with the repeatable field `image`
- a raw image/* (or application/octet-stream) body: one image
- application/json: {"images": [{"data": "<base64>", "name": "optional"}]}

What breaks the request as a whole raises; what is wrong with one image is left to that image's entry.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Awaitable, Callable

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from models.imaging.decode import ImageError
from service.errors import MalformedRequest, NoImages, TooManyImages, UnsupportedBody
from service.inspection.encoded_image import EncodedImage
from service.rest.bodies.multipart import ImageParts
from service.rest.bodies.reader import BodyLimits, Growing, pieces
from service.rest.bodies.received import clean_name

InThread = Callable[[Callable[[], list[EncodedImage]]], Awaitable[list[EncodedImage]]]

MULTIPART = "multipart/form-data"
JSON = "application/json"
RAW = "application/octet-stream"


class JsonImage(BaseModel):
    """One image of the JSON form."""

    model_config = ConfigDict(extra="forbid")

    data: str = Field(description="The image file in base64 (RFC 4648, with padding).")
    name: str | None = Field(default=None, max_length=1024, description="A name to find it by in the answer.")


class JsonBody(BaseModel):
    """The JSON form."""

    model_config = ConfigDict(extra="forbid")

    images: list[JsonImage] = Field(description="The images, judged in this order.")


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
    request: Request, limits: BodyLimits, in_thread: InThread, permit: Growing | None = None
) -> list[EncodedImage]:
    """All images of the request, in order: at least 1, at most `limits.max_images`.

    `in_thread` runs a function outside the event loop: reading a large JSON body takes long enough to be felt. `permit`
    grows with a body whose length was not declared.
    Raises UnsupportedBody, MalformedRequest, BodyTooLarge, BodyTooSlow, TooManyImages, NoImages, RequestCancelled.
    """
    media_type = check_content_type(request)
    arriving = pieces(request, limits, permit)
    if media_type == MULTIPART:
        images = await _read_multipart(arriving, request.headers["content-type"], limits)
    elif media_type == JSON:
        body = b"".join([piece async for piece in arriving])
        images = await in_thread(lambda: parse_json(body, limits))
    else:
        images = [await _read_raw(arriving, limits)]
    if not images:
        raise NoImages("the request has no image: send at least one")
    return images


def parse_json(body: bytes, limits: BodyLimits) -> list[EncodedImage]:
    """The JSON form -> images; base64 that cannot be read becomes that image's own error."""
    try:
        parsed = JsonBody.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        raise MalformedRequest(f'{where}: {first["msg"]}; send {{"images": [{{"data": "<base64>"}}]}}') from None
    if len(parsed.images) > limits.max_images:
        raise TooManyImages(f"{len(parsed.images)} images; at most {limits.max_images} are taken in one request")
    return [_from_base64(image) for image in parsed.images]


def _from_base64(image: JsonImage) -> EncodedImage:
    name = clean_name(image.name) if image.name else None
    try:
        return EncodedImage(base64.b64decode(image.data, validate=True), name)
    except (binascii.Error, ValueError):
        refusal = ImageError(
            "image_base64_invalid", "`data` is not base64 (RFC 4648, with padding, without line breaks)"
        )
        return EncodedImage(b"", name, refusal)


async def _read_multipart(arriving: AsyncIterator[bytes], content_type: str, limits: BodyLimits) -> list[EncodedImage]:
    parts = ImageParts(content_type, limits)
    async for piece in arriving:
        parts.write(piece)
    return parts.finish()


async def _read_raw(arriving: AsyncIterator[bytes], limits: BodyLimits) -> EncodedImage:
    data = bytearray()
    async for piece in arriving:
        room = limits.max_image_bytes + 1 - len(data)  # one byte over is what makes the decoder refuse it
        data += piece[: max(room, 0)]
    return EncodedImage(bytes(data))
