"""Gives the body of a request by the byte, and reads no more of it than is asked for: what is left waits at the client.

The least rate counts the time for which the client is waited for, and not that for which it waits: a stream may last
for hours.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from starlette.types import Receive

from service.errors import BodyTooSlow, RequestCancelled, ShuttingDown
from service.rest.bodies.reader import BodyLimits

LOOK_S = 0.2  # between looks at the shutdown flag while the client is waited for


class BodyEndedError(Exception):
    """The body ended before the bytes that were asked for; `got` of them came."""

    def __init__(self, got: int) -> None:
        super().__init__(f"{got} bytes came")
        self.got = got


class BodyStream:
    """`stopping` says whether the process is about to end."""

    def __init__(self, receive: Receive, limits: BodyLimits, stopping: Callable[[], bool]) -> None:
        self._receive, self._limits, self._stopping = receive, limits, stopping
        self._buffer = bytearray()
        self._ended = False
        self._received = 0
        self._waited_s = 0.0

    async def read(self, size: int) -> bytes:
        """Exactly `size` bytes.

        Raises BodyEndedError, RequestCancelled where the client is gone, BodyTooSlow where it pauses too long or sends
        at less than the least rate, ShuttingDown where the process is to end.
        """
        await self._fill(size)
        found = bytes(self._buffer[:size])
        del self._buffer[:size]
        return found

    async def skip(self, size: int) -> None:
        """Throw `size` bytes away as they come. Raises as `read`."""
        while size > len(self._buffer):
            size -= len(self._buffer)
            self._buffer.clear()
            await self._fill(1)
        del self._buffer[:size]

    def check_stopping(self) -> None:
        """Raises ShuttingDown where the process is to end."""
        if self._stopping():
            raise ShuttingDown("the service is shutting down; send the rest once more", retry_after=5.0)

    async def client_gone(self) -> None:
        """Return once the client has hung up. What it still sends is thrown away."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _fill(self, size: int) -> None:
        while len(self._buffer) < size:
            if self._ended:
                raise BodyEndedError(len(self._buffer))
            piece = await self._piece()
            self._received += len(piece)
            self._buffer += piece

    async def _piece(self) -> bytes:
        started, least = time.monotonic(), self._limits.min_rate
        while True:
            self.check_stopping()
            try:
                async with asyncio.timeout(LOOK_S):
                    message = await self._receive()
            except TimeoutError:
                self._check_pace(time.monotonic() - started)
                continue
            if message["type"] == "http.disconnect":
                raise RequestCancelled("the client hung up while it sent the stream")
            self._ended = not message.get("more_body", False)
            self._waited_s += time.monotonic() - started
            if least and self._waited_s > self._limits.pause_s + self._received / least:
                raise self._too_slow()
            piece: bytes = message.get("body", b"")
            return piece

    def _check_pace(self, pause_s: float) -> None:
        if pause_s > self._limits.pause_s:
            raise self._too_slow()

    def _too_slow(self) -> BodyTooSlow:
        rate = f", at {self._limits.min_rate:,} bytes a second at least" if self._limits.min_rate else ""
        return BodyTooSlow(f"a stream is sent with no pause over {self._limits.pause_s:g} s{rate}")
