"""Connections are kept long, refused with a reason in log and metric, and answered while their clients still send."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from service.run.server import make_server
from service.run.settings import Settings

if TYPE_CHECKING:
    from tests.service.rest.conftest import FakeEngine, House, OpenHouse, Picture, Serve, Talk

BOUNDARY = "frontier"


def test_idle_connections_are_kept_for_more_than_a_minute_or_as_long_as_is_set(open_house: OpenHouse) -> None:
    assert Settings().keep_alive_s > 60
    house = open_house(keep_alive_s=99)
    assert make_server(house.application, house.settings).config.timeout_keep_alive == 99


@pytest.mark.parametrize(
    ("request_", "code", "said"),
    [
        (b"nonsense\r\n\r\n", "malformed_request", ""),
        (b"GET /version HTTP/1.1\r\n\r\n", "malformed_request", "one Host"),
        (b"GET /" + b"a" * 5000, "headers_too_large", "too large"),
    ],
)
def test_what_cannot_be_parsed_is_counted_and_logged_with_peer_and_reason(
    serve: Serve,
    fake_engine: type[FakeEngine],
    talk: Talk,
    log_lines: list[dict[str, Any]],
    request_: bytes,
    code: str,
    said: str,
) -> None:
    engine = fake_engine()
    _, headers, _ = talk(serve(engine, max_header_bytes=2000), request_)
    assert engine.metrics.value("mkd_requests_total", route="unparsed", outcome=code) == 1
    (line,) = [line for line in log_lines if line["event"] == "request not parsed"]
    assert line["peer"].startswith("127.0.0.1:")
    assert line["code"] == code
    assert said in line["reason"]
    assert line["reason"]
    assert line["request_id"] == headers["x-request-id"]


@pytest.mark.parametrize("full", [False, True])
def test_a_refusal_reaches_the_sender_of_a_body_far_over_the_limit(
    serve: Serve, fake_engine: type[FakeEngine], full: bool
) -> None:
    """The sender reads nothing before it has sent all, as most clients do."""
    engine = fake_engine()
    port = serve(engine, max_body_bytes=1 << 20, max_image_bytes=1 << 20)
    permit = engine.admission.try_admit(512) if full else None
    size = 40 << 20
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        head = f"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {size}\r\n\r\n"
        connection.sendall(head.encode())
        for _ in range(40):
            connection.sendall(b"x" * (1 << 20))
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 429" if full else b"HTTP/1.1 413")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == ("overloaded" if full else "body_too_large")
    if permit is not None:
        permit.release()


def test_a_raw_body_over_an_images_limit_is_refused_before_it_is_read(open_house: OpenHouse) -> None:
    house = open_house(max_image_bytes=1000)
    read = []

    async def body() -> Any:
        read.append(1)
        yield b"x" * 1001

    headers = {"Content-Type": "image/png", "Content-Length": "1001", "Expect": "100-continue"}
    response = house.post("/score", content=body(), headers=headers)
    assert response.status_code == 413
    assert response.json()["code"] == "body_too_large"
    assert "1,000" in response.json()["detail"]
    assert read == []


def test_connections_that_only_announce_keep_nobody_out(serve: Serve, picture: Picture) -> None:
    port = serve()
    head = f"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {128 << 20}\r\n\r\n"
    idle = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(8)]
    for connection in idle:
        connection.sendall(head.encode() + b'{"images": [')
    response = httpx.post(
        f"http://127.0.0.1:{port}/score", content=picture(0.1), headers={"Content-Type": "image/png"}, timeout=20
    )
    assert response.status_code == 200
    for connection in idle:
        connection.close()


def test_a_body_below_the_least_rate_is_given_up(serve: Serve, talk: Talk) -> None:
    port = serve(body_pause_s=0.2, body_min_rate=1 << 30)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(
            b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 9999\r\n\r\n"
        )
        connection.settimeout(0.05)
        answer = b""
        for _ in range(400):  # a byte each 50 ms is no pause
            try:
                answer = connection.recv(65536)
                break
            except TimeoutError:
                connection.sendall(b"x")
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"bytes a second" in answer


def test_http_1_0_gets_no_100_continue(serve: Serve, picture: Picture) -> None:
    body = picture(0.1)
    head = f"POST /score HTTP/1.0\r\nContent-Type: image/png\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\n"
    with socket.create_connection(("127.0.0.1", serve()), timeout=20) as connection:
        connection.sendall(head.encode() + b"\r\n" + body)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_routes_take_head(house: House, path: str) -> None:
    response = house.run(house.client.head(path))
    assert response.status_code == house.get(path).status_code == 200


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ("filename*=UTF-8''na%20me%C3%A4.png", "na meä.png"),
        ("filename*=utf-8'de'..%2F..%2Fa.png", "a.png"),
        ("filename=\"a.png\"; filename*=UTF-8''b.png", "a.png"),
        ("filename*=no-such-charset''a.png", "a.png"),
    ],
)
def test_a_file_name_may_come_in_its_extended_form_alone(
    house: House, picture: Picture, disposition: str, name: str
) -> None:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; {disposition}\r\n\r\n'.encode()
    content = head + picture(0.1) + f"\r\n--{BOUNDARY}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    (entry,) = house.post("/score", content=content, headers=headers).json()["results"]
    assert entry["filename"] == name


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/score?product=screw&product=screw", "'product' is there 2 times"),
        ("/score?prodcut=screw", "'prodcut' is not known"),
        ("/score?overlay=true", "'overlay' is not known"),
        ("/localize?mask=true&mask=false", "'mask' is there 2 times"),
    ],
)
def test_unknown_and_doubled_parameters_are_refused_and_the_known_ones_named(
    house: House, picture: Picture, path: str, said: str
) -> None:
    response = house.score(picture(0.1), path=path)
    assert response.status_code == 422
    detail = response.json()["detail"]
    assert said in detail
    assert "known are product, max_false_reject, review" in detail
    assert house.engine.judged == []
