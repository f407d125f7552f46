"""Prepared bytes of an HTTP request in, the answer with its time out: a client that costs next to nothing.

The client shares the machine with the service it measures, so requests are built once, answers are not parsed beyond
what framing needs, and nothing stands between the event loop and the bytes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

HOST = "127.0.0.1"
ANSWER_WITHIN_S = 120.0
BOUNDARY = "mkd-bench-7f3a"


class Unanswered(Exception):
    """The connection ended, or the patience, before a whole answer was there."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`seconds` run from the request's first byte to the answer's last; `closes`: the server ends the connection."""

    status: int
    body: bytes
    seconds: float
    closes: bool

    @property
    def verdicts(self) -> int:
        """Images that were judged, without parsing the body."""
        return self.body.count(b'"decision":')


class Wire(asyncio.Protocol):
    """One connection from its opening to its end."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[tuple[int, bytes, bool]] | None = None
        self._received = bytearray()

    @property
    def open(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    def send(self, request: bytes) -> asyncio.Future[tuple[int, bytes, bool]]:
        """Write it; the future is of the answer's status and body, and whether the server ends the connection."""
        assert self.transport is not None
        self._waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._waiting

    def fail(self, why: str) -> None:
        """Nobody need wait for the answer any more."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(Unanswered(why))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by name

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._look(ended=False)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._look(ended=True)
        self.fail(f"the connection ended: {exc}")

    def _look(self, *, ended: bool) -> None:
        if self._waiting is None or self._waiting.done():
            return
        answer = _parsed(self._received, ended=ended)
        if answer is not None:
            self._received.clear()
            self._waiting.set_result(answer)


class Connection:
    """One keep-alive connection, opened at its first request. For one request at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._wire: Wire | None = None
        self.used_at = 0.0

    async def ask(self, request: bytes) -> Answer:
        """Raises ConnectionRefusedError where nobody listens, Unanswered where no whole answer comes."""
        loop = asyncio.get_running_loop()
        wire = self._wire if self._wire is not None and self._wire.open else await self._open()
        started = time.perf_counter()
        patience = loop.call_later(ANSWER_WITHIN_S, wire.fail, f"no answer within {ANSWER_WITHIN_S:g} s")
        try:
            status, body, closes = await wire.send(request)
        except Unanswered:
            self.close()
            raise
        finally:
            patience.cancel()
        self.used_at = time.perf_counter()
        if closes:
            self.close()
        return Answer(status, body, self.used_at - started, closes)

    async def _open(self) -> Wire:
        self.close()
        try:
            _, self._wire = await asyncio.get_running_loop().create_connection(Wire, HOST, self._port)
        except ConnectionRefusedError:
            raise
        except OSError as error:
            raise Unanswered(f"{type(error).__name__}: {error}") from error
        return self._wire

    def close(self) -> None:
        """Close without waiting; a later request opens it again."""
        if self._wire is not None and self._wire.transport is not None:
            self._wire.transport.close()
        self._wire = None


def post(path: str, body: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a POST request."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {HOST}", f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def post_images(path: str, images: Iterable[bytes], headers: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a multipart request with these PNG files as its fields `image`."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="{number}.png"\r\n'
        "Content-Type: image/png\r\n\r\n".encode()
        + image
        + b"\r\n"
        for number, image in enumerate(images)
    ]
    body = b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])
    return post(path, body, f"multipart/form-data; boundary={BOUNDARY}", headers)


def _parsed(received: bytearray, *, ended: bool) -> tuple[int, bytes, bool] | None:
    """Status, body, and whether the connection ends; None where something is still missing."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    status, *lines = bytes(received[:end]).split(b"\r\n")
    headers = {name.lower(): value.lower() for name, value in (line.split(b": ", 1) for line in lines)}
    start = end + 4
    body: bytes | None
    if b"content-length" in headers:
        length = int(headers[b"content-length"])
        body = bytes(received[start : start + length]) if len(received) >= start + length else None
    elif headers.get(b"transfer-encoding") == b"chunked":
        body = _joined(received, start)
    else:
        body = bytes(received[start:]) if ended else None
    return None if body is None else (int(status.split(b" ", 2)[1]), body, headers.get(b"connection") == b"close")


def _joined(received: bytearray, start: int) -> bytes | None:
    """The chunks from `start` on; None where the last one is not there yet."""
    chunks: list[bytes] = []
    while (end := received.find(b"\r\n", start)) >= 0:
        size = int(bytes(received[start:end]).split(b";")[0], 16)
        start = end + 2
        if len(received) < start + size + 2:
            return None
        if not size:
            return b"".join(chunks)
        chunks.append(bytes(received[start : start + size]))
        start += size + 2
    return None
