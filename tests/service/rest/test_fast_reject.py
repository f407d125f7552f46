"""A full house as the connection itself tells it: the application's answer, and what the wire makes of it."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from service.logs import JsonLines

if TYPE_CHECKING:
    from tests.service.rest.conftest import FakeEngine, Picture, Serve, Talk

NEW_EACH_TIME = {"date", "x-request-id", "content-length"}


@pytest.fixture
def full_engine(fake_engine: type[FakeEngine]) -> Iterator[FakeEngine]:
    """An engine with no room; `release` makes some."""
    engine = fake_engine()
    with engine.admission.try_admit(512, 0) as permit:
        engine.release = permit.release  # type: ignore[attr-defined]
        yield engine


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    """The log lines of requests, as they would be written."""
    found: list[dict[str, Any]] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            line = json.loads(JsonLines().format(record))
            if line["event"] == "request":
                found.append(line)

    logger, keeper = logging.getLogger("mkdserve"), Keeper()
    before = logger.level
    logger.addHandler(keeper)
    logger.setLevel(logging.INFO)
    yield found
    logger.removeHandler(keeper)
    logger.setLevel(before)


def post(body: bytes, *headers: str, path: str = "/score") -> bytes:
    """A request with an image/png body; its length is declared unless it comes in chunks."""
    rows = ["Host: x", "Content-Type: image/png", *headers]
    if "Transfer-Encoding: chunked" in headers:
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    else:
        rows.append(f"Content-Length: {len(body)}")
    return "\r\n".join([f"POST {path} HTTP/1.1", *rows, "", ""]).encode() + body


def answer(connection: socket.socket) -> tuple[int, dict[str, str], dict[str, Any]]:
    """The next answer of a kept connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(1)
    status, *rows = data.decode().strip().split("\r\n")
    headers = dict(row.split(": ", 1) for row in rows)
    body = b""
    while len(body) < int(headers["content-length"]):
        body += connection.recv(int(headers["content-length"]) - len(body))
    return int(status.split()[1]), headers, json.loads(body)


def without(members: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in members.items() if name not in names}


def wait_for(lines: list[dict[str, Any]]) -> dict[str, Any]:
    for _ in range(500):
        if lines:
            return lines[0]
        time.sleep(0.01)
    raise AssertionError("no line was written")


def test_the_connection_refuses_as_the_application_does(
    serve: Serve, talk: Talk, full_engine: FakeEngine, lines: list[dict[str, Any]]
) -> None:
    port = serve(full_engine)
    common = ("Connection: close", "X-Line: 7", "X-Request-Id: r1")
    short = talk(port, post(b"abc", *common, path="/localize?part_id=p1"))
    long = talk(port, post(b"abc", *common, "Transfer-Encoding: chunked", path="/localize?part_id=p1"))
    assert short[0] == long[0] == 429
    assert without(short[1], *NEW_EACH_TIME) == without(long[1], *NEW_EACH_TIME)
    assert short[2] == long[2]
    assert short[2]["request_id"] == short[1]["x-request-id"] == "r1"
    first, second = (without(line, "time", "duration_ms") for line in lines)
    assert first == second
    assert first["context"] == {"line": "7", "part_id": "p1"}
    assert first["bytes_in"] == 3
    value = full_engine.metrics.value
    assert value("mkd_requests_total", route="/localize", outcome="overloaded") == 2
    assert value("mkd_rejections_total", reason="images") == 2


def test_a_kept_connection_is_refused_and_then_served(serve: Serve, full_engine: FakeEngine, picture: Picture) -> None:
    port = serve(full_engine)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        for _ in range(2):
            connection.sendall(post(picture(0.1)))
            assert answer(connection)[0] == 429
        full_engine.release()  # type: ignore[attr-defined]
        connection.sendall(post(picture(0.1)))
        status, _, body = answer(connection)
        assert status == 200
        assert body["results"][0]["decision"] == "OK"


def test_requests_on_the_wire_at_once_are_refused_in_order(serve: Serve, full_engine: FakeEngine) -> None:
    port = serve(full_engine)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        version = b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n"
        connection.sendall(post(b"a", "X-Request-Id: a") + version + post(b"b", "X-Request-Id: b"))
        found = [answer(connection) for _ in range(3)]
    assert [status for status, _, _ in found] == [429, 200, 429]
    assert [body.get("request_id") for _, _, body in found] == ["a", None, "b"]


def test_a_body_that_does_not_come_is_not_waited_for(
    serve: Serve, talk: Talk, full_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.rest.protocol.LINGER_S", 0.1)
    status, headers, _ = talk(serve(full_engine), post(b"x" * 100)[:-50])
    assert status == 429
    assert headers["connection"] == "close"


def test_a_client_that_leaves_while_it_is_refused_leaves_its_line(
    serve: Serve, full_engine: FakeEngine, lines: list[dict[str, Any]]
) -> None:
    port = serve(full_engine)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(post(b"x" * 100)[:-50])
    line = wait_for(lines)
    assert line["code"] == "overloaded"
    assert line["bytes_in"] == 50


def test_who_waits_for_permission_is_left_to_the_application(serve: Serve, talk: Talk, full_engine: FakeEngine) -> None:
    request = post(b"", "Expect: 100-continue").replace(b"Length: 0", b"Length: 9999999")
    status, headers, _ = talk(serve(full_engine), request)
    assert status == 429
    assert headers["connection"] == "close"
