"""A body costs at most MULTIPLE times its bytes of memory until it has become images, whatever stands in it."""

from __future__ import annotations

import asyncio
import base64
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import Any, ParamSpec, TypeVar

import pytest
from starlette.requests import Request

from service.errors import RequestError
from service.rest.bodies.forms import read_images
from service.rest.bodies.reader import BodyLimits

P = ParamSpec("P")
T = TypeVar("T")
MULTIPLE = 3  # docs/operate.md says so
BESIDES = 2 << 20
SIZE = 6 << 20
PIECE = 64 << 10
LIMITS = BodyLimits(max_bytes=128 << 20, max_images=64, max_image_bytes=32 << 20, whole_s=60, pause_s=10)
MULTIPART = "multipart/form-data; boundary=frontier"
PART = b'--frontier\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
BASE64 = base64.b64encode(bytes(range(256)) * 3)  # of 768 bytes, without padding

Body = Callable[[], Iterator[bytes]]


def of(head: bytes, filling: bytes, tail: bytes) -> Body:
    """A body of about SIZE bytes that is never in memory as a whole."""
    block = filling * max(1, PIECE // len(filling))
    return lambda: chain([head], repeat(block, SIZE // len(block)), [tail])


BODIES: dict[str, tuple[str, Body]] = {
    "json one image": ("application/json", of(b'{"images":[{"data":"', BASE64, b'"}]}')),
    "json escaped": ("application/json", of(b'{"images":[{"data":"', b"QUJ\\/\\u002B\\/\\/A", b'"}]}')),
    "json no base64": ("application/json", of(b'{"images":[{"data":"', b"\\\\" * 64, b'"}]}')),
    "json empty objects": ("application/json", of(b'{"images":[', b"{},", b"{}]}")),
    "json empty images": ("application/json", of(b'{"images":[', b'{"data":""},', b'{"data":""}]}')),
    "json deep": ("application/json", of(b'{"images":', b"[", b"]")),
    "json long key": ("application/json", of(b'{"', b"a", b'":1}')),
    "json long name": ("application/json", of(b'{"images":[{"name":"', b"a", b'"}]}')),
    "json number": ("application/json", of(b'{"images":[{"data":', b"1", b"}]}")),
    "json blanks": ("application/json", of(b'{"images":[', b" ", b"]}")),
    "multipart one image": (MULTIPART, of(PART, BASE64, b"\r\n--frontier--\r\n")),
    "multipart many images": (MULTIPART, of(b"", PART + BASE64 * 600 + b"\r\n", b"--frontier--\r\n")),
    "multipart empty parts": (MULTIPART, of(b"", PART + b"\r\n", b"--frontier--\r\n")),
    "multipart near boundaries": (MULTIPART, of(PART, b"\r\n--frontie", b"\r\n--frontier--\r\n")),
    "multipart long header": (MULTIPART, of(b"--frontier\r\nX: ", b"a", b"\r\n\r\n--frontier--\r\n")),
    "raw": ("image/png", of(b"", BASE64, b"")),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_takes_a_bounded_multiple_of_its_bytes(name: str) -> None:
    kind, body = BODIES[name]
    peak = asyncio.run(peak_of(kind, body))
    assert peak <= MULTIPLE * SIZE + BESIDES


async def peak_of(kind: str, body: Body) -> int:
    """Bytes allocated at most while the images of this body are read."""
    pieces = body()

    async def receive() -> dict[str, Any]:
        piece = next(pieces, None)
        return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

    async def in_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return function(*args, **kwargs)

    request = Request({"type": "http", "headers": [(b"content-type", kind.encode())]}, receive)
    tracemalloc.start()
    try:
        images = await read_images(request, LIMITS, in_thread)
        assert images
    except RequestError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak
