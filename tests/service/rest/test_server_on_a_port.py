"""The service on a real port: what the wire refuses, and what it still answers when the server stops."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx
import pytest
import uvicorn

from service.run.application import create_app
from service.run.server import InspectionServer, make_server
from service.run.settings import Settings

if TYPE_CHECKING:
    from tests.service.rest.conftest import Picture, Serve, Talk


def test_headers_over_the_limit_are_a_problem(serve: Serve, talk: Talk) -> None:
    port = serve(max_header_bytes=2000)
    status, headers, body = talk(port, b"GET /version HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 3000)
    assert status == 431
    assert headers["content-type"] == "application/problem+json"
    assert body["code"] == "headers_too_large"


@pytest.mark.parametrize(
    "request_", [b"nonsense\r\n\r\n", b"GET /\x00 HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\r\n\r\n"]
)
def test_what_is_no_http_is_a_problem(serve: Serve, talk: Talk, request_: bytes) -> None:
    status, headers, body = talk(serve(), request_)
    assert status == 400
    assert headers["content-type"] == "application/problem+json"
    assert body["code"] == "malformed_request"
    assert body["request_id"] == headers["x-request-id"]


def test_headers_that_do_not_come_end_the_connection(serve: Serve, talk: Talk) -> None:
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
        assert whole_answer(kept).startswith(b"HTTP/1.1 200")
        serve.stop()  # type: ignore[attr-defined]
        while connects(port):
            time.sleep(0.01)
        kept.sendall(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = whole_answer(kept)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer.lower()
        assert kept.recv(65536) == b""


def whole_answer(connection: socket.socket) -> bytes:
    """Head and body, which may come one after the other."""
    data = b""
    while not data.endswith(b"}"):
        data += connection.recv(65536)
    return data


def connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=20).close()
    except ConnectionError:
        return False
    return True


@pytest.mark.parametrize("rows", [b"", b"Host: a\r\nHost: b\r\n"])
def test_a_request_names_one_host(serve: Serve, talk: Talk, rows: bytes) -> None:
    assert talk(serve(), b"GET /version HTTP/1.1\r\n" + rows + b"\r\n")[0] == 400


def test_headers_that_come_at_once_are_bounded_too(serve: Serve, talk: Talk) -> None:
    rows = b"".join(b"X-Row: %d\r\n" % number for number in range(300))
    assert talk(serve(max_header_bytes=2000), b"GET /version HTTP/1.1\r\nHost: x\r\n" + rows + b"\r\n")[0] == 431


@pytest.mark.parametrize(
    "head",
    [
        b"\r\n" * 2000,
        b"GET /" + b"a" * 3000,
        b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"a" * 3000,
        b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Long: " + b"a" * 3000,
    ],
)
def test_no_part_of_a_request_that_is_no_body_grows_for_ever(serve: Serve, head: bytes) -> None:
    port = serve(max_header_bytes=2000)
    # An end by a reset is as good as one by an answer.
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection, suppress(ConnectionError):
        for start in range(0, len(head), 500):
            connection.sendall(head[start : start + 500])
            time.sleep(0.01)
        while connection.recv(65536):
            pass


def test_an_offer_to_upgrade_does_not_cost_the_body(serve: Serve, picture: Picture) -> None:
    """Java's HTTP client offers HTTP/2 with its first request over plain HTTP."""
    headers = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQ"}
    with httpx.Client(base_url=f"http://127.0.0.1:{serve()}") as client:
        for offer in (headers, {}, headers):
            response = client.post("/score", content=picture(0.1), headers={"Content-Type": "image/png", **offer})
            assert response.json()["results"][0]["decision"] == "OK"


def test_a_proxy_is_not_here(serve: Serve, talk: Talk) -> None:
    assert talk(serve(), b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n")[0] == 400


def test_the_server_overrides_public_methods_of_uvicorn_alone() -> None:
    settings = Settings()
    ours = make_server(create_app(settings, lambda _: pytest.fail("it is not started")), settings)
    theirs = uvicorn.Server(ours.config)
    shared = (vars(InspectionServer).keys() | vars(ours).keys() - vars(theirs).keys()) & set(dir(theirs))
    overridden = {name for name in shared if not name.startswith("__")}
    assert overridden == {"handle_exit", "capture_signals", "main_loop", "startup", "shutdown"}
