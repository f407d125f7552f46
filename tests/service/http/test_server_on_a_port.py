"""The service on a real port: what the wire refuses, and what it still answers when the server stops."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from service.app import create_app
from service.run.server import make_server
from service.run.state import Parts
from service.settings import Settings

if TYPE_CHECKING:
    from tests.service.http.conftest import FakeEngine, FakeRegistry, FakeVersion, Picture

Serve = Callable[..., int]


@pytest.fixture
def serve(
    fake_engine: type[FakeEngine], fake_registry: type[FakeRegistry], fake_version: type[FakeVersion]
) -> Iterator[Serve]:
    """Serve on a free port in a thread; gives the port."""
    running: list[tuple[Any, threading.Thread]] = []

    def start(**settings: Any) -> int:
        used = Settings(port=0, drain_s=1.0, **settings)
        engine = fake_engine()
        parts = Parts(engine, fake_registry(fake_version()), engine.metrics, 1)  # type: ignore[arg-type]
        server = make_server(create_app(used, lambda _: parts), used)
        shared = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, args=([shared],))
        thread.start()
        running.append((server, thread))
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        return int(shared.getsockname()[1])

    def stop() -> None:
        for server, _ in running:
            server.should_exit = True

    start.stop = stop  # type: ignore[attr-defined]
    yield start
    stop()
    for _, thread in running:
        thread.join(20)
        assert not thread.is_alive()


def talk(port: int, request: bytes) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Send these bytes and read the answer until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *rows = head.decode().split("\r\n")
    headers = dict(row.lower().split(": ", 1) for row in rows)
    return int(status.split()[1]), headers, json.loads(body)


def test_headers_over_the_limit_are_a_problem(serve: Serve) -> None:
    port = serve(max_header_bytes=2000)
    status, headers, body = talk(port, b"GET /version HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 3000)
    assert status == 431
    assert headers["content-type"] == "application/problem+json"
    assert body["code"] == "headers_too_large"


@pytest.mark.parametrize(
    "request_", [b"nonsense\r\n\r\n", b"GET /\x00 HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\r\n\r\n"]
)
def test_what_is_no_http_is_a_problem(serve: Serve, request_: bytes) -> None:
    status, headers, body = talk(serve(), request_)
    assert status == 400
    assert headers["content-type"] == "application/problem+json"
    assert body["code"] == "malformed_request"
    assert body["request_id"] == headers["x-request-id"]


def test_headers_that_do_not_come_end_the_connection(serve: Serve) -> None:
    status, _, body = talk(serve(header_timeout_s=0.1), b"GET /version HTTP/1.1\r\nHost:")
    assert status == 408
    assert body["code"] == "headers_too_slow"


def test_a_kept_connection_is_timed_anew(serve: Serve) -> None:
    port = serve(header_timeout_s=0.2)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        assert client.get("/version").status_code == 200
        time.sleep(0.4)  # an idle connection is no slow request
        assert client.get("/version").status_code == 200


def test_images_are_judged_over_a_real_connection(serve: Serve, picture: Picture) -> None:
    port = serve()
    files = [("image", ("a.png", picture(0.1))), ("image", ("b.png", picture(0.9)))]
    response = httpx.post(f"http://127.0.0.1:{port}/localize", files=files)
    assert [entry["decision"] for entry in response.json()["results"]] == ["OK", "NG"]
    assert "server" not in response.headers


def test_a_refusal_reaches_a_client_that_is_still_sending(serve: Serve) -> None:
    port = serve()
    response = httpx.post(
        f"http://127.0.0.1:{port}/score?product=nut", content=b"x" * 2_000_000, headers={"Content-Type": "image/png"}
    )
    assert response.status_code == 404


def test_a_body_that_breaks_off_hurts_nobody(serve: Serve) -> None:
    port = serve()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(
            b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 100\r\n\r\nabc"
        )
    assert httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200


def test_a_request_that_is_on_the_wire_when_the_server_stops_is_answered(serve: Serve) -> None:
    port = serve()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as kept:
        kept.sendall(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
        assert kept.recv(65536).startswith(b"HTTP/1.1 200")
        serve.stop()  # type: ignore[attr-defined]
        while connects(port):
            time.sleep(0.01)
        kept.sendall(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = kept.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer.lower()
        assert kept.recv(65536) == b""


def connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=20).close()
    except ConnectionError:
        return False
    return True
