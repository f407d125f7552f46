"""Prepared bytes of an HTTP request in, the answer with its time out: a client that costs next to nothing.

The client shares the machine with the service it measures, so requests are built once and answers are not parsed beyond
what framing needs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

HOST = "127.0.0.1"
LINE_LIMIT = 1 << 20
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


class Connection:
    """One keep-alive connection, opened at its first request. For one request at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.used_at = 0.0

    async def ask(self, request: bytes) -> Answer:
        """Raises ConnectionRefusedError where nobody listens, Unanswered where no whole answer comes."""
        if self._streams is None or self._streams[0].at_eof():
            self._streams = await self._open()
        reader, writer = self._streams
        started = time.perf_counter()
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                status, headers = _parsed(head)
                body = await _body(reader, headers)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            self.close()
            raise Unanswered(f"{type(error).__name__}: {error}") from error
        self.used_at = time.perf_counter()
        closes = headers.get(b"connection") == b"close"
        if closes:
            self.close()
        return Answer(status, body, self.used_at - started, closes)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self.close()
        try:
            return await asyncio.open_connection(HOST, self._port, limit=LINE_LIMIT)
        except ConnectionRefusedError:
            raise
        except OSError as error:
            raise Unanswered(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Close without waiting; a later request opens it again."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


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


def _parsed(head: bytes) -> tuple[int, dict[bytes, bytes]]:
    status, *lines = head[:-4].split(b"\r\n")
    pairs = (line.split(b": ", 1) for line in lines)
    return int(status.split(b" ", 2)[1]), {name.lower(): value.lower() for name, value in pairs}


async def _body(reader: asyncio.StreamReader, headers: Mapping[bytes, bytes]) -> bytes:
    if b"content-length" in headers:
        return await reader.readexactly(int(headers[b"content-length"]))
    if headers.get(b"transfer-encoding") != b"chunked":
        return await reader.read()
    chunks = []
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        chunks.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return b"".join(chunks)
