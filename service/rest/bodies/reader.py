"""Takes the body of a request as it arrives: counts and times its pieces, and refuses it once a limit is broken."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request
from starlette.types import Message

from models.sizes import size_words
from service.errors import BodyTooLarge, BodyTooSlow, MalformedRequest, RequestCancelled


@dataclass(frozen=True)
class BodyLimits:
    """What one request may bring. Sizes in bytes, times in seconds, `min_rate` in bytes a second (0 for any)."""

    max_bytes: int
    max_images: int
    max_image_bytes: int
    whole_s: float
    pause_s: float
    min_rate: int = 0


def declared_length(request: Request, limits: BodyLimits) -> int | None:
    """Content-Length, checked; None for a chunked body, whose length nobody knows."""
    text = request.headers.get("content-length")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit():
        raise MalformedRequest("Content-Length must be a whole number")
    length = int(text)
    if length > limits.max_bytes:
        raise BodyTooLarge(f"the body has {size_words(length)}; at most {size_words(limits.max_bytes)} are taken")
    return length


class Arriving(Protocol):
    """A permit that counts the bytes that arrive, or refuses them by raising."""

    def arrived(self, size: int) -> None: ...


async def pieces(request: Request, limits: BodyLimits, permit: Arriving | None) -> AsyncIterator[bytes]:
    """The body, piece by piece, counted by `permit`.

    Raises BodyTooLarge at the first byte over the limit, BodyTooSlow when a piece or the whole is late or when the body
    comes at less than its least rate, RequestCancelled when the client is gone, and what the permit raises when too
    many bytes are in flight.
    """
    begun = time.monotonic()
    received = 0
    more = True
    while more:
        message = await _next_message(request, limits, begun, received)
        if message["type"] == "http.disconnect":
            raise RequestCancelled("the client hung up while it sent the body")
        piece: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        received += len(piece)
        if received > limits.max_bytes:
            raise BodyTooLarge(f"the body has more than {size_words(limits.max_bytes)}, the most that are taken")
        if piece:
            if permit is not None:
                permit.arrived(len(piece))
            yield piece


async def _next_message(request: Request, limits: BodyLimits, begun: float, received: int) -> Message:
    late = limits.whole_s
    if limits.min_rate:  # after the first pause that is granted anyway
        late = min(late, limits.pause_s + received / limits.min_rate)
    patience = min(limits.pause_s, begun + late - time.monotonic())
    try:
        async with asyncio.timeout(patience):
            return await request.receive()
    except TimeoutError:
        rate = f" and at {limits.min_rate:,} bytes a second at least" if limits.min_rate else ""
        raise BodyTooSlow(
            f"the body must be here within {limits.whole_s:g} s, with no pause over {limits.pause_s:g} s{rate}"
        ) from None
