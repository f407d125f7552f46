"""An answer that is not read is dropped in time, counts as bytes in flight until then, and holds up no stop."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from service.rest.exchange import PIECE_BYTES

if TYPE_CHECKING:
    from tests.service.rest.conftest import FakeEngine, House, Picture, Serve


@pytest.fixture
def large_answer(monkeypatch: pytest.MonkeyPatch) -> int:
    """Every reply is this many bytes long: more than the system's own buffers between two sockets take."""
    size = 24 << 20
    monkeypatch.setattr(
        "service.rest.schemas.LocalizeReply.model_dump_json", lambda *_, **__: '{"filling": "%s"}' % ("x" * size)
    )
    return size


def ask(port: int, picture: bytes) -> socket.socket:
    """A client that asks and reads nothing."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    head = f"POST /localize HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(picture)}\r\n\r\n"
    connection.sendall(head.encode() + picture)
    return connection


def until(what: Callable[[], bool]) -> None:
    for _ in range(1000):
        if what():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen")


def test_a_client_that_does_not_read_is_dropped(
    serve: Serve, fake_engine: type[FakeEngine], picture: Picture, large_answer: int
) -> None:
    engine = fake_engine()
    port = serve(engine, send_timeout_s=0.3)
    with ask(port, picture(0.1)) as connection:
        until(lambda: engine.admission.size >= large_answer)
        assert engine.admission.images == 0
        until(lambda: engine.metrics.value("mkd_answers_dropped_total") == 1)
        until(lambda: engine.admission.size == 0)
        received = 0
        with suppress(ConnectionError):
            while piece := connection.recv(1 << 20):
                received += len(piece)
        assert received < large_answer
    assert engine.metrics.value("mkd_requests_total", route="/localize", outcome="client_closed_request") == 1


def test_a_stop_does_not_wait_for_a_client_that_does_not_read(
    serve: Serve, fake_engine: type[FakeEngine], picture: Picture, large_answer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.rest.protocol.LAST_READ_S", 0.1)
    engine = fake_engine()
    port = serve(engine, send_timeout_s=3600)
    with ask(port, picture(0.1)):
        until(lambda: engine.admission.size >= large_answer)
        serve.stop()  # type: ignore[attr-defined]
        until(lambda: engine.metrics.value("mkd_answers_dropped_total") == 1)


def test_a_client_that_reads_slowly_gets_it_all(
    serve: Serve, fake_engine: type[FakeEngine], picture: Picture, large_answer: int
) -> None:
    engine = fake_engine()
    with ask(serve(engine), picture(0.1)) as connection:
        until(lambda: engine.admission.size >= large_answer)
        received = b""
        while len(received) < large_answer:
            received += connection.recv(1 << 20)
    assert received.startswith(b"HTTP/1.1 200")
    assert engine.metrics.value("mkd_answers_dropped_total") == 0


def test_a_large_answer_is_written_in_pieces(house: House, picture: Picture, large_answer: int) -> None:
    sent: list[int] = []

    async def scenario() -> None:
        body = [{"type": "http.request", "body": picture(0.1), "more_body": False}]

        async def receive() -> dict[str, object]:
            return body.pop() if body else {"type": "http.disconnect"} if sent else await forever()

        async def send(message: dict[str, object]) -> None:
            if message["type"] == "http.response.body":
                assert isinstance(message["body"], bytes)
                sent.append(len(message["body"]))

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/localize",
            "raw_path": b"/localize",
            "root_path": "",
            "scheme": "http",
            "query_string": b"",
            "headers": [(b"content-type", b"image/png"), (b"transfer-encoding", b"chunked")],
            "server": ("service", 80),
            "client": ("client", 1),
            "http_version": "1.1",
        }
        await house.app(scope, receive, send)

    house.run(scenario())
    assert sum(sent) > large_answer
    assert max(sent) <= PIECE_BYTES


async def forever() -> dict[str, object]:
    """Silence of a client that stays."""
    await asyncio.sleep(3600)
    raise AssertionError
