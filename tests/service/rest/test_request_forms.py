"""The three request forms, their limits and the order of the answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.service.rest.conftest import House, OpenHouse, Picture

BOUNDARY = "frontier"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def part(data: bytes, disposition: str = 'form-data; name="image"; filename="a.png"') -> bytes:
    return f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + data + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def decisions(response: Any) -> list[str]:
    return [entry["decision"] for entry in response.json()["results"]]


def test_multipart_images_are_answered_in_their_order_with_their_names(house: House, picture: Picture) -> None:
    response = house.score(picture(0.1), picture(0.9), picture(0.1), picture(0.9))
    assert response.status_code == 200
    assert decisions(response) == ["OK", "NG", "OK", "NG"]
    assert [entry["filename"] for entry in response.json()["results"]] == ["0.png", "1.png", "2.png", "3.png"]
    assert [entry["index"] for entry in response.json()["results"]] == [0, 1, 2, 3]


def test_a_raw_image_body_is_one_image(house: House, picture: Picture) -> None:
    response = house.post("/score", content=picture(0.9, form="JPEG"), headers={"Content-Type": "image/jpeg"})
    assert decisions(response) == ["NG"]
    assert "filename" not in response.json()["results"][0]


def test_a_raw_body_of_unnamed_bytes_is_one_image(house: House, picture: Picture) -> None:
    response = house.post("/score", content=picture(0.1), headers={"Content-Type": "application/octet-stream"})
    assert decisions(response) == ["OK"]


def test_the_json_form_carries_base64_and_names(
    house: House, picture: Picture, as_base64: Callable[[bytes], str]
) -> None:
    images = [{"data": as_base64(picture(0.9)), "name": "left.png"}, {"data": as_base64(picture(0.1))}]
    response = house.post("/score", json={"images": images})
    assert decisions(response) == ["NG", "OK"]
    assert response.json()["results"][0]["filename"] == "left.png"


def test_bad_base64_is_the_error_of_its_own_entry(
    house: House, picture: Picture, as_base64: Callable[[bytes], str]
) -> None:
    response = house.post("/score", json={"images": [{"data": "%%%"}, {"data": as_base64(picture(0.1))}]})
    first, second = response.json()["results"]
    assert first["error"]["code"] == "image_base64_invalid"
    assert "decision" not in first
    assert second["decision"] == "OK"


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"{}", b'{"images": 1}', b'{"images": [{}]}', b'{"images": [], "x": 1}', b"\xff\xfe"]
)
def test_json_of_another_shape_is_malformed(house: House, body: bytes) -> None:
    response = house.post("/score", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert response.json()["code"] == "malformed_request"


def test_a_refused_json_body_is_not_repeated_in_the_answer(house: House) -> None:
    body = json.dumps({"images": [{"data": 5, "secret-looking": "hunter2"}]}).encode()
    response = house.post("/score", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert "hunter2" not in response.text


@pytest.mark.parametrize("content", [b'{"images": []}', END])
def test_a_request_without_an_image_is_refused(house: House, content: bytes) -> None:
    headers = {"Content-Type": "application/json"} if content.startswith(b"{") else FORM
    response = house.post("/score", content=content, headers=headers)
    assert response.status_code == 422
    assert response.json()["code"] == "no_images"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "image/", "", "multipart/mixed"])
def test_other_content_types_are_not_taken(house: House, kind: str) -> None:
    response = house.post("/score", content=b"x", headers={"Content-Type": kind})
    assert response.status_code == 415
    assert response.json()["code"] == "unsupported_body"


def test_a_compressed_body_is_not_taken(house: House) -> None:
    headers = {"Content-Type": "image/png", "Content-Encoding": "gzip"}
    assert house.post("/score", content=b"x", headers=headers).json()["code"] == "unsupported_body"


def test_multipart_without_a_boundary_is_not_taken(house: House) -> None:
    response = house.post("/score", content=b"x", headers={"Content-Type": "multipart/form-data"})
    assert response.json()["code"] == "unsupported_body"


@pytest.mark.parametrize(
    "content",
    [
        b"no boundary at all",
        part(b"x"),
        part(b"x") + END[:-4],
        part(b"x", 'form-data; name="file"; filename="a.png"') + END,
        part(b"x", 'attachment; filename="a.png"') + END,
        f"--{BOUNDARY}\r\nno header here\r\n\r\nx\r\n".encode() + END,
        b"--" + BOUNDARY.encode() + b"\r\nX-Long: " + b"a" * 100_000 + b"\r\n\r\nx\r\n" + END,
    ],
    ids=["garbage", "unfinished", "cut off", "other field", "no name", "broken header", "endless header"],
)
def test_broken_multipart_is_malformed(house: House, content: bytes) -> None:
    response = house.post("/score", content=content, headers=FORM)
    assert response.status_code == 400
    assert response.json()["code"] == "malformed_request"


def test_an_unknown_form_field_is_named_and_not_passed_over(house: House, picture: Picture) -> None:
    response = house.post("/score", files=[("image", picture()), ("images", picture())])
    assert response.status_code == 400
    assert "'images'" in response.json()["detail"]


def test_an_image_field_without_a_file_name_is_an_image_too(house: House, picture: Picture) -> None:
    content = part(picture(0.1), 'form-data; name="image"') + END
    assert decisions(house.post("/score", content=content, headers=FORM)) == ["OK"]


def test_file_names_lose_folders_and_control_characters(house: House, picture: Picture) -> None:
    disposition = 'form-data; name="image"; filename="../../etc/pa\x07sswd.png"'
    response = house.post("/score", content=part(picture(), disposition) + END, headers=FORM)
    assert response.json()["results"][0]["filename"] == "passwd.png"


def test_multipart_may_arrive_byte_by_byte(house: House, picture: Picture) -> None:
    whole = part(picture(0.1)) + part(picture(0.9)) + END

    async def dripping() -> Any:
        for position in range(len(whole)):
            yield whole[position : position + 1]

    assert decisions(house.post("/score", content=dripping(), headers=FORM)) == ["OK", "NG"]


def test_one_image_more_than_allowed_is_refused_in_every_form(
    open_house: OpenHouse, picture: Picture, as_base64: Callable[[bytes], str]
) -> None:
    house = open_house(max_images=2)
    assert house.score(picture(), picture()).status_code == 200
    for response in (
        house.score(picture(), picture(), picture()),
        house.post("/score", json={"images": [{"data": as_base64(picture())}] * 3}),
    ):
        assert response.status_code == 413
        assert response.json()["code"] == "too_many_images"


def test_a_declared_length_over_the_limit_is_refused_before_the_body_is_read(open_house: OpenHouse) -> None:
    house = open_house(max_body_bytes=1000, max_image_bytes=1000)
    read = []

    async def body() -> Any:
        read.append(1)
        yield b"x" * 1001

    headers = {"Content-Type": "image/png", "Content-Length": "9999999999", "Expect": "100-continue"}
    response = house.post("/score", content=body(), headers=headers)
    assert response.status_code == 413
    assert response.json()["code"] == "body_too_large"
    assert response.headers["Connection"] == "close"
    assert house.engine.judged == []
    assert read == []


def test_a_body_without_a_declared_length_is_counted_while_it_comes(open_house: OpenHouse) -> None:
    house = open_house(max_body_bytes=1000, max_image_bytes=1000)

    async def body() -> Any:
        for _ in range(11):
            yield b"x" * 100

    response = house.post("/score", content=body(), headers={"Content-Type": "image/png"})
    assert response.status_code == 413
    assert response.json()["code"] == "body_too_large"


@pytest.mark.parametrize("length", ["-1", "1e3", "²"])
def test_a_content_length_that_is_no_number_is_malformed(house: House, length: str) -> None:
    headers = {"Content-Type": "image/png", "Content-Length": length.encode("latin-1")}
    response = house.post("/score", content=b"x", headers=headers)
    assert response.status_code == 400


def test_a_body_that_pauses_too_long_is_given_up(open_house: OpenHouse) -> None:
    house = open_house(body_pause_s=0.02)
    response = house.run(ask(house, [{"type": "http.request", "body": b"x", "more_body": True}]))
    assert response["status"] == 408
    assert response["body"]["code"] == "body_too_slow"
    assert response["headers"]["connection"] == "close"


def test_a_body_that_drips_on_and_on_is_given_up(open_house: OpenHouse) -> None:
    house = open_house(body_timeout_s=0.05)
    pieces = [{"type": "http.request", "body": b"x", "more_body": True}] * 1000
    response = house.run(ask(house, pieces, pause_s=0.01))
    assert response["status"] == 408


async def ask(house: House, messages: list[dict[str, Any]], pause_s: float = 0.0) -> dict[str, Any]:
    """Call the application with these messages as its body, then silence."""
    import asyncio

    waiting = list(messages)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(pause_s)
        if waiting:
            return waiting.pop(0)
        await asyncio.sleep(3600)
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/score",
        "raw_path": b"/score",
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": [(b"content-type", b"image/png"), (b"transfer-encoding", b"chunked")],
        "server": ("service", 80),
        "client": ("client", 1),
        "http_version": "1.1",
    }
    await house.app(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return {"status": sent[0]["status"], "headers": headers, "body": json.loads(sent[1]["body"])}
