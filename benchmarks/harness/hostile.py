"""Clients that do not behave: slow, broken, greedy. What they send is harmless; only its manner is not.

Each is a coroutine over one service, for some seconds; whatever becomes of its connection is all right.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from benchmarks.harness.connection import HOST, Connection, Unanswered, post_images

MANY = 40


@dataclass(frozen=True)
class Target:
    """A service on the loopback: its port, a product, and small PNG files to send. `impatient` connections ask again
    at once where a client is impatient."""

    port: int
    product: str
    pictures: Sequence[bytes]
    impatient: int = 16

    @property
    def begin(self) -> str:
        """The beginning of a request."""
        return f"POST /score?product={self.product} HTTP/1.1\r\nHost: x\r\n"

    def score(self, pictures: Sequence[bytes]) -> bytes:
        """A whole request."""
        return post_images(f"/score?product={self.product}", pictures)


Client = Callable[[Target, float], Awaitable[None]]


async def play(kind: str, target: Target, seconds: float) -> None:
    """That kind of client, for at most so many seconds; its own troubles are nobody's."""
    try:
        async with asyncio.timeout(seconds):
            await KINDS[kind](target, seconds)
    except (TimeoutError, OSError, Unanswered, asyncio.IncompleteReadError):
        pass


async def slow_head(target: Target, seconds: float) -> None:
    await _drip(target.port, (target.begin + "X-A: 1\r\n" * 400).encode(), piece=7)


async def slow_body(target: Target, seconds: float) -> None:
    head = target.begin + f"Content-Type: image/png\r\nContent-Length: {len(target.pictures[0])}\r\n\r\n"
    await _drip(target.port, head.encode() + target.pictures[0], piece=200)


async def announces_much(target: Target, seconds: float) -> None:
    """Eight connections that declare a large body and send its first bytes."""
    head = target.begin + "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 8000000\r\n\r\n--x\r\n"
    await asyncio.gather(*(_send_and_wait(target.port, head.encode(), seconds) for _ in range(8)))


async def never_reads(target: Target, seconds: float) -> None:
    """Asks for a large answer and leaves it where it is."""
    request = post_images(f"/localize?product={target.product}&overlay=true&mask=true", [large_picture()] * 3)
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    opened.setblocking(False)
    await asyncio.get_running_loop().sock_connect(opened, (HOST, target.port))
    _, writer = await asyncio.open_connection(sock=opened, limit=1024)
    try:
        writer.write(request)
        await asyncio.sleep(seconds)
    finally:
        writer.transport.abort()


async def breaks_off(target: Target, seconds: float) -> None:
    """Half a request, then a reset."""
    for part in (0.1, 0.5, 0.9):
        request = target.score(target.pictures)
        _, writer = await asyncio.open_connection(HOST, target.port)
        writer.write(request[: int(part * len(request))])
        await writer.drain()
        opened = writer.get_extra_info("socket")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        writer.close()


async def no_http(target: Target, seconds: float) -> None:
    await asyncio.gather(*(_send_and_wait(target.port, bytes(range(256)) * number, 1.0) for number in (1, 4, 64)))


async def empty_objects(target: Target, seconds: float) -> None:
    body = b'{"images":[' + b"{}," * 1_000_000 + b"{}]}"
    head = target.begin + f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    await _send_and_wait(target.port, head.encode() + body, seconds)


async def impatient(target: Target, seconds: float) -> None:
    """Connections that ask again at once, whatever they are told."""
    request = target.score(target.pictures[:1])
    until = time.monotonic() + seconds

    async def one() -> None:
        connection = Connection(target.port)
        try:
            while time.monotonic() < until:
                await connection.ask(request)
        finally:
            connection.close()

    await asyncio.gather(*(one() for _ in range(target.impatient)))


async def many_connections(target: Target, seconds: float) -> None:
    """Opened and left alone."""
    await asyncio.gather(*(_send_and_wait(target.port, b"", seconds) for _ in range(MANY)))


async def pipelined(target: Target, seconds: float) -> None:
    """Ten requests at once on one connection."""
    await _send_and_wait(target.port, target.score(target.pictures[:1]) * 10, seconds)


async def huge_header(target: Target, seconds: float) -> None:
    await _send_and_wait(target.port, (target.begin + "X-A: " + "a" * 200_000).encode(), seconds)


async def hangs_up(target: Target, seconds: float) -> None:
    """Leaves before the answer, twenty times."""
    request = target.score(target.pictures)
    for _ in range(20):
        _, writer = await asyncio.open_connection(HOST, target.port)
        writer.write(request)
        await writer.drain()
        writer.close()
        await asyncio.sleep(0.01)


KINDS: Mapping[str, Client] = {
    each.__name__.replace("_", " "): each
    for each in (
        *(slow_head, slow_body, announces_much, never_reads, breaks_off, no_http),
        *(empty_objects, impatient, many_connections, pipelined, huge_header, hangs_up),
    )
}


@functools.cache
def large_picture() -> bytes:
    """A PNG of 700 x 700 pixels of grain, whose overlay is some megabytes."""
    pixels = np.random.default_rng(0).integers(0, 256, (700, 700, 3), dtype=np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


async def _drip(port: int, data: bytes, piece: int) -> None:
    _, writer = await asyncio.open_connection(HOST, port)
    try:
        for start in range(0, len(data), piece):
            writer.write(data[start : start + piece])
            await writer.drain()
            await asyncio.sleep(0.1)
    finally:
        writer.close()


async def _send_and_wait(port: int, data: bytes, seconds: float) -> None:
    """Send, read nothing (nor does the stream's buffer, beyond its 64 KiB), and stay."""
    _, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(seconds)
    finally:
        writer.close()
