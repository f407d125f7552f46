"""A transport that sends the head of an answer together with its body, where that follows in the same turn of the loop.

uvicorn writes the two one after the other, and each write is a call of the system, a packet, and a wake-up of the
client, for which threads of the network are put aside.
"""

from __future__ import annotations

import asyncio
from typing import Any

JOINED_BYTES = 64 << 10  # a longer body is not copied for it


class JoinedHead:
    """In place of `transport`, for all that a protocol asks of one."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Keep a head that comes alone until the loop's next turn at the latest; send all else at once."""
        if not self._head and data.startswith(b"HTTP/") and data.endswith(b"\r\n\r\n"):
            self._head = data
            self._loop.call_soon(self._send_head)
            return
        if self._head and len(data) <= JOINED_BYTES:
            data, self._head = self._head + data, b""
        self._send_head()
        self._transport.write(data)

    def close(self) -> None:
        """Send what is kept, then close."""
        self._send_head()
        self._transport.close()

    def _send_head(self) -> None:
        if self._head and not self._transport.is_closing():
            self._transport.write(self._head)
        self._head = b""
