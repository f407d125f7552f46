"""The paths under /v2 take the protocol's JSON and binary forms, and refuse in its form what the service refuses."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from service.auth import new_key
from service.inspection.thread_pool import WorkerThreads

if TYPE_CHECKING:
    from tests.service.rest.conftest import FakeEngine, FakeVersion, House, OpenHouse, Picture

PATH = "/v2/models/screw/infer"


def with_image(data: bytes, **members: Any) -> dict[str, Any]:
    text = base64.b64encode(data).decode()
    return {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [text]}], **members}


def outputs(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    return {one["name"]: one["data"][0] for one in response.json()["outputs"]}


def error(response: httpx.Response, status: int, code: str) -> str:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/json"
    body = response.json()
    assert list(body) == ["error", "code", "request_id"]
    assert body["code"] == code
    assert body["request_id"] == response.headers["X-Request-Id"]
    text: str = body["error"]
    assert text.startswith(f"{code}: ")
    return text


def test_an_image_in_the_json_is_judged(house: House, picture: Picture) -> None:
    response = house.post(PATH, json=with_image(picture(0.2), id="part 7"))
    assert {**response.json(), "outputs": None} == {
        "model_name": "screw",
        "model_version": "1",
        "id": "part 7",
        "outputs": None,
    }
    found = outputs(response)
    assert found["decision"] == "OK"
    assert found["score"] == pytest.approx(0.2, abs=0.01)
    assert found["error"] == ""


def test_numbers_in_the_json_are_judged_flat_or_nested(house: House) -> None:
    flat, nested = [51] * (8 * 8 * 3), [[[[51] * 3] * 8] * 8]
    for data in (flat, nested):
        tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 8, 8, 3], "data": data}
        assert outputs(house.post(PATH, json={"inputs": [tensor]}))["score"] == pytest.approx(0.2)


def test_encoded_images_wait_for_a_thread_only_to_be_decoded(
    house: House, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The threads' queue holds the pictures of all requests: each further wait in it is a wait behind them."""
    calls: list[str] = []
    run = WorkerThreads.run

    async def counted(self: WorkerThreads, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        calls.append(function.__qualname__.rpartition(".")[2])
        return await run(self, function, *args, **kwargs)

    monkeypatch.setattr(WorkerThreads, "run", counted)
    images = [picture(0.2), picture(0.3)]
    data = b"".join(struct.pack("<I", len(one)) + one for one in images)
    tensor = {"name": "image", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": len(data)}}

    def send(**members: object) -> None:
        head = json.dumps({"inputs": [tensor], **members})
        headers = {"Inference-Header-Content-Length": str(len(head))}
        assert house.post(PATH, content=head.encode() + data, headers=headers).status_code == 200

    send()
    assert calls == ["timed", "timed"]  # Inspection's, around the decoder
    calls.clear()
    send(outputs=[{"name": "score"}, {"name": "map"}])
    assert calls.count("_tensors") == calls.count("_response") == 1  # pictures are more than a few numbers
    calls.clear()
    send(id="x" * 20_000)
    assert calls[0] == "read_request"  # a long JSON is


def test_the_binary_form_is_read_and_answered(house: House, picture: Picture) -> None:
    image = picture(0.2)
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(image) + 4}}
    head = json.dumps({"inputs": [tensor], "outputs": [{"name": "score", "parameters": {"binary_data": True}}]})
    body = head.encode() + struct.pack("<I", len(image)) + image
    response = house.post(PATH, content=body, headers={"Inference-Header-Content-Length": str(len(head))})
    length = int(response.headers["Inference-Header-Content-Length"])
    assert json.loads(response.content[:length])["outputs"][0]["parameters"] == {"binary_data_size": 8}
    assert struct.unpack("<d", response.content[length:])[0] == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shape": [2]}, "2 texts"),
        ({"shape": [0]}, "above 0"),
        ({"shape": []}, "above 0"),
        ({"shape": [True]}, "inputs.0"),
        ({"datatype": "FP64"}, "BYTES"),
        ({"name": "picture"}, "'image'"),
        ({"data": [1]}, "base64"),
        ({"data": "text"}, "base64"),
        ({"parameters": {"colour": "red"}}, "colour"),
        ({"parameters": {"binary_data_size": 10}}, "Inference-Header-Content-Length"),
        ({"datatype": "UINT8", "shape": [1, 8, 8, 1], "data": [1, 2]}, "64 numbers"),
        ({"datatype": "UINT8", "shape": [2], "data": [1, 256]}, "cannot hold"),
        ({"datatype": "UINT8", "shape": [2], "data": [1, 0.5]}, "2 numbers"),
        ({"datatype": "UINT8", "shape": [3], "data": [[1, 2], [3]]}, "unequal"),
    ],
)
def test_a_tensor_that_is_not_as_it_says_is_refused(
    house: House, picture: Picture, change: dict[str, Any], words: str
) -> None:
    body = with_image(picture())
    body["inputs"][0] |= change
    assert words in error(house.post(PATH, json=body), 400, "malformed_request")
    assert house.engine.judged == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "must be an object"),
        (b'{"inputs": 1}', "must be a list"),
        (b"[" * 1_000_001, "lists"),
        (b'{"inputs": [], "parameters": {"review": []}}', "parameters"),
    ],
)
def test_a_body_that_is_not_the_protocols_is_refused(house: House, body: bytes, words: str) -> None:
    assert words in error(house.post(PATH, content=body), 400, "malformed_request")


@pytest.mark.parametrize("length", ["x", "-1", "99999999", "²"])
def test_a_wrong_length_of_the_json_is_refused(house: House, picture: Picture, length: str) -> None:
    headers = {"Inference-Header-Content-Length": length.encode()}
    error(house.post(PATH, json=with_image(picture()), headers=headers), 400, "malformed_request")


def test_bytes_behind_the_last_tensor_are_refused(house: House, picture: Picture) -> None:
    head = json.dumps(with_image(picture())).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    text = error(house.post(PATH, content=head + b"more", headers=headers), 400, "malformed_request")
    assert "4 bytes" in text


def test_elements_that_end_behind_their_tensor_are_refused(house: House, picture: Picture) -> None:
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 8}}
    head = json.dumps({"inputs": [tensor]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    text = error(house.post(PATH, content=head + struct.pack("<II", 9, 0), headers=headers), 400, "malformed_request")
    assert "5 bytes after" in text


def test_an_image_that_cannot_be_read_is_an_error_in_the_protocols_form(house: House) -> None:
    error(house.post(PATH, json=with_image(b"no image")), 400, "image_unreadable")


def test_too_many_images_are_refused(open_house: OpenHouse, picture: Picture) -> None:
    house = open_house(max_images=1)
    text = base64.b64encode(picture()).decode()
    tensor = {"name": "image", "datatype": "BYTES", "shape": [2], "data": [text, text]}
    error(house.post(PATH, json={"inputs": [tensor]}), 413, "too_many_images")


def test_refusals_before_the_route_have_the_protocols_form_too(
    open_house: OpenHouse, fake_engine: type[FakeEngine], picture: Picture, log_lines: list[dict[str, Any]]
) -> None:
    engine = fake_engine(max_images=64)
    house = open_house(engine=engine)
    with engine.admission.try_admit(64, 0):
        response = house.post(PATH, json=with_image(picture()))
        error(response, 429, "overloaded")
        assert int(response.headers["Retry-After"]) >= 1
    assert engine.admission.images == 0
    line = next(line for line in log_lines if line["event"] == "request")
    assert line["path"] == PATH
    assert 'route="/v2/models/{name}/infer"' in house.get("/metrics").text


def test_answers_are_counted_by_the_whole_path_of_their_route(house: House, picture: Picture) -> None:
    assert house.post(PATH, json=with_image(picture())).status_code == 200
    house.post(PATH.replace("/infer", "/versions/9/infer"), json=with_image(picture()))
    counted = house.get("/metrics").text
    assert 'outcome="ok",route="/v2/models/{name}/infer"' in counted
    assert 'route="/v2/models/{name}/versions/{version}/infer"' in counted
    assert 'route="/models' not in counted


def test_unknown_things_are_refused_in_the_protocols_form(house: House, picture: Picture) -> None:
    error(house.get("/v2/nowhere"), 404, "not_found")
    error(house.get("/v2/models/nut"), 404, "product_not_found")
    error(house.get("/v2/models/..nut"), 422, "invalid_parameter")
    error(house.get(PATH), 405, "method_not_allowed")
    error(house.get("/v2/models/screw/versions/7/ready"), 404, "version_not_found")
    error(house.post("/v2/models/screw/versions/7/infer", json=with_image(picture())), 404, "version_not_found")
    error(house.post(f"{PATH}?review=off", json=with_image(picture())), 422, "invalid_parameter")
    error(house.post(PATH, json=with_image(picture(), outputs=[{"name": "prob"}])), 400, "malformed_request")
    error(house.post(PATH, json=with_image(picture()), headers={"Content-Encoding": "gzip"}), 415, "unsupported_body")
    assert house.get("/v2/models/screw/versions/1/ready").json() == {"name": "screw", "ready": True}


def test_keys_are_asked_for(open_house: OpenHouse, picture: Picture) -> None:
    secret, key = new_key("line", ("infer",))
    house = open_house(api_keys=key.line())
    error(house.post(PATH, json=with_image(picture())), 401, "unauthorized")
    error(house.get("/v2/models/screw"), 401, "unauthorized")
    assert house.get("/v2").status_code == 200
    headers = {"Authorization": f"Bearer {secret}"}
    assert outputs(house.post(PATH, json=with_image(picture()), headers=headers))["decision"] == "OK"


def test_line_context_and_deadline_reach_the_core(
    house: House, picture: Picture, log_lines: list[dict[str, Any]]
) -> None:
    body = with_image(picture(), parameters={"part_id": "P7", "timeout": 5_000_000})
    assert house.post(PATH, json=body, headers={"X-Line": "L1"}).status_code == 200
    line = next(line for line in log_lines if line["event"] == "request")
    assert line["context"] == {"line": "L1", "part_id": "P7"}
    assert line["decisions"] == {"OK": 1}
    assert house.engine.deadlines[0] is not None
    error(house.post(PATH, json=with_image(picture(), parameters={"station": "\x07"})), 400, "malformed_request")


def test_a_product_that_is_not_served_is_not_ready(
    house: House, fake_version: type[FakeVersion], picture: Picture
) -> None:
    house.registry.state = "refused"
    response = house.get("/v2/models/screw/ready")
    assert (response.status_code, response.json()["ready"]) == (503, False)
