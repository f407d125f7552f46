"""In: the body of a request as it arrives. Out: its pieces, counted and timed, or a refusal once a limit breaks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request
from starlette.types import Message

from service.errors import BodyTooLarge, BodyTooSlow, MalformedRequest, RequestCancelled


@dataclass(frozen=True)
class BodyLimits:
    """What one request may bring. Sizes in bytes, times in seconds."""

    max_bytes: int
    max_images: int
    max_image_bytes: int
    whole_s: float
    pause_s: float


def declared_length(request: Request, limits: BodyLimits) -> int | None:
    """Content-Length, checked; None for a chunked body, whose length nobody knows."""
    text = request.headers.get("content-length")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit():
        raise MalformedRequest("Content-Length must be a whole number")
    length = int(text)
    if length > limits.max_bytes:
        raise BodyTooLarge(f"the body has {length:,} bytes; at most {limits.max_bytes:,} are taken")
    return length


class Growing(Protocol):
    """A permit that can take on more bytes, or refuse by raising."""

    def grow(self, images: int = 0, size: int = 0) -> None: ...


async def pieces(request: Request, limits: BodyLimits, permit: Growing | None) -> AsyncIterator[bytes]:
    """The body, piece by piece; a `permit` grows with them, for bodies whose length was not declared.

    Raises BodyTooLarge at the first byte over the limit, BodyTooSlow when a piece or the whole is late,
    RequestCancelled when the client is gone, and what the permit raises when the house is full.
    """
    late = time.monotonic() + limits.whole_s
    received = 0
    more = True
    while more:
        message = await _next_message(request, limits, late)
        if message["type"] == "http.disconnect":
            raise RequestCancelled("the client hung up while it sent the body")
        piece: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        received += len(piece)
        if received > limits.max_bytes:
            raise BodyTooLarge(f"the body has more than {limits.max_bytes:,} bytes, the most that are taken")
        if piece:
            if permit is not None:
                permit.grow(size=len(piece))
            yield piece


async def _next_message(request: Request, limits: BodyLimits, late: float) -> Message:
    patience = min(limits.pause_s, late - time.monotonic())
    try:
        async with asyncio.timeout(patience):
            return await request.receive()
    except TimeoutError:
        raise BodyTooSlow(
            f"the body must be here within {limits.whole_s:g} s, with no pause over {limits.pause_s:g} s"
        ) from None
