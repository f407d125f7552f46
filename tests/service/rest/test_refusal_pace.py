"""Refusals are held back by their rate, bounded in number, and never lost."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from service.rest.refusal_pace import BURST, MOST_CALLERS, MOST_HELD, MOST_S, PER_SECOND, RefusalPace

if TYPE_CHECKING:
    from tests.service.rest.conftest import FakeEngine, Serve

REQUEST = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 1\r\n\r\na"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_first_refusals_leave_at_once_and_the_next_ones_one_after_the_other() -> None:
    pace = RefusalPace(Clock())
    waits = [pace.hold_s("a") for _ in range(BURST + 4)]
    assert waits[:BURST] == [0.0] * BURST
    assert waits[BURST:] == pytest.approx([(1 + number) / PER_SECOND for number in range(4)])
    assert pace.hold_s("b") == 0.0


def test_a_caller_that_waits_is_not_held() -> None:
    clock = Clock()
    pace = RefusalPace(clock)
    for _ in range(200):
        pace.hold_s("a")
    assert pace.hold_s("a") == MOST_S
    clock.now += MOST_S + BURST / PER_SECOND
    assert pace.hold_s("a") == 0.0


def test_on_one_connection_each_wait_is_twice_the_one_before() -> None:
    clock = Clock()
    pace = RefusalPace(clock)
    waits = []
    for number in range(1, 12):
        waits.append(pace.hold_s("a", number))
        clock.now += 10
    assert waits[0] == 0.0
    assert waits[1:5] == pytest.approx([0.01, 0.02, 0.04, 0.08])
    assert waits[-1] == MOST_S


def test_callers_that_are_due_are_forgotten() -> None:
    clock = Clock()
    pace = RefusalPace(clock)
    for number in range(3 * MOST_CALLERS):
        pace.hold_s(str(number))
        clock.now += 1
    assert len(pace._next) <= MOST_CALLERS


@pytest.fixture
def full_engine(fake_engine: type[FakeEngine]) -> Iterator[FakeEngine]:
    """An engine with no room."""
    engine = fake_engine()
    with engine.admission.try_admit(512):
        yield engine


@pytest.fixture
def long_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every refusal but a deadline's is held for an hour."""
    monkeypatch.setattr(RefusalPace, "hold_s", lambda *_: 3600.0)


def until_held(pace: list[RefusalPace], count: int) -> None:
    while pace[0].held != count:
        time.sleep(0.01)


@pytest.fixture
def paces(monkeypatch: pytest.MonkeyPatch) -> list[RefusalPace]:
    """The pace of the service that is started next."""
    found: list[RefusalPace] = []

    class Kept(RefusalPace):
        def __init__(self) -> None:
            super().__init__()
            found.append(self)

    monkeypatch.setattr("service.rest.request_checks.RefusalPace", Kept)
    return found


@pytest.mark.usefixtures("long_holds")
def test_a_held_refusal_is_told_when_the_server_stops(
    serve: Serve, full_engine: FakeEngine, paces: list[RefusalPace]
) -> None:
    port = serve(full_engine)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(REQUEST)
        until_held(paces, 1)
        serve.stop()  # type: ignore[attr-defined]
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 429")
    assert b"connection: close" in answer
    until_held(paces, 0)


@pytest.mark.usefixtures("long_holds")
def test_a_client_that_leaves_is_held_no_more(serve: Serve, full_engine: FakeEngine, paces: list[RefusalPace]) -> None:
    port = serve(full_engine)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(REQUEST)
        until_held(paces, 1)
    until_held(paces, 0)
    assert full_engine.metrics.value("mkd_requests_total", route="/score", outcome="overloaded") == 1


@pytest.mark.usefixtures("long_holds")
def test_who_asks_again_while_it_is_held_gets_its_answer_and_no_other(
    serve: Serve, full_engine: FakeEngine, paces: list[RefusalPace]
) -> None:
    port = serve(full_engine)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(REQUEST * 3)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer


@pytest.mark.usefixtures("long_holds")
def test_where_as_many_are_held_as_may_be_the_next_is_answered_at_once_and_its_connection_ended(
    serve: Serve, full_engine: FakeEngine, paces: list[RefusalPace]
) -> None:
    port = serve(full_engine)
    paces[0].held = MOST_HELD
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(REQUEST)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 429")


@pytest.mark.usefixtures("long_holds")
@pytest.mark.parametrize("more", [b"", b"Transfer-Encoding: chunked\r\n"])
def test_a_refusal_is_held_no_longer_than_the_requests_deadline(
    serve: Serve, full_engine: FakeEngine, more: bytes
) -> None:
    port = serve(full_engine)
    request = REQUEST.replace(b"Host: x", b"Host: x\r\nX-Deadline-Ms: 100")
    if more:
        request = request.replace(b"Content-Length: 1\r\n\r\na", more + b"\r\n1\r\na\r\n0\r\n\r\n")
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        assert connection.recv(65536).startswith(b"HTTP/1.1 429")
