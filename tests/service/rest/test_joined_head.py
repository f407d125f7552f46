"""The head of an answer leaves with what follows it in the same turn of the loop, and by itself where nothing does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

import pytest

from service.rest.joined_head import JOINED_BYTES, JoinedHead

if TYPE_CHECKING:
    from tests.service.rest.conftest import Picture, Serve, Talk

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n"


class Wire:
    """What is written, and whether it is closed."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str) -> str:
        return name


def on_a_loop(test: Callable[[JoinedHead, Wire], Awaitable[None]]) -> None:
    async def run() -> None:
        wire = Wire()
        await test(JoinedHead(cast(asyncio.Transport, wire), asyncio.get_running_loop()), wire)

    asyncio.run(run())


def test_head_and_body_of_one_turn_are_one_write() -> None:
    async def test(transport: JoinedHead, wire: Wire) -> None:
        transport.write(HEAD)
        transport.write(b"abc")
        await asyncio.sleep(0)
        assert wire.written == [HEAD + b"abc"]
        assert transport.get_extra_info("peername") == "peername"

    on_a_loop(test)


def test_a_head_whose_body_takes_longer_does_not_wait_for_it() -> None:
    async def test(transport: JoinedHead, wire: Wire) -> None:
        transport.write(HEAD)
        assert wire.written == []
        await asyncio.sleep(0)
        assert wire.written == [HEAD]
        transport.write(b"abc")
        assert wire.written == [HEAD, b"abc"]

    on_a_loop(test)


def test_a_long_body_is_not_copied_behind_its_head() -> None:
    async def test(transport: JoinedHead, wire: Wire) -> None:
        body = b"a" * (JOINED_BYTES + 1)
        transport.write(HEAD)
        transport.write(body)
        assert wire.written == [HEAD, body]

    on_a_loop(test)


def test_a_head_leaves_before_the_connection_is_closed() -> None:
    async def test(transport: JoinedHead, wire: Wire) -> None:
        transport.write(HEAD)
        transport.close()
        await asyncio.sleep(0)
        assert (wire.written, wire.closed) == ([HEAD], True)

    on_a_loop(test)


def test_a_head_is_dropped_with_a_connection_that_was_ended() -> None:
    async def test(transport: JoinedHead, wire: Wire) -> None:
        transport.write(HEAD)
        wire.closed = True
        await asyncio.sleep(0)
        assert wire.written == []

    on_a_loop(test)


def test_an_answer_is_one_write_on_the_connection(
    serve: Serve, talk: Talk, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[bytes] = []
    make = JoinedHead.__init__

    class Noted:
        def __init__(self, transport: Any) -> None:
            self._transport = transport

        def __getattr__(self, name: str) -> Any:
            return getattr(self._transport, name)

        def write(self, data: bytes) -> None:
            writes.append(data)
            self._transport.write(data)

    monkeypatch.setattr(
        JoinedHead, "__init__", lambda self, transport, loop: make(self, cast(Any, Noted(transport)), loop)
    )
    image = picture(0.1)
    head = f"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(image)}\r\n"
    status, _, _ = talk(serve(), head.encode() + b"Connection: close\r\n\r\n" + image)
    assert status == 200
    assert len(writes) == 1
