"""The gRPC port has the keys, limits and log of the HTTP port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from service.auth import new_key

if TYPE_CHECKING:
    from tests.service.rest.conftest import FakeEngine, Picture, Serve

Lines = list[dict[str, Any]]


def client_of(lines: Lines) -> triton.InferenceServerClient:
    port = next(line["port"] for line in lines if line["event"] == "gRPC started")
    return triton.InferenceServerClient(f"127.0.0.1:{port}")


def judge(client: triton.InferenceServerClient, *images: bytes, headers: dict[str, str] | None = None) -> Any:
    tensor = triton.InferInput("image", [len(images)], "BYTES")
    tensor.set_data_from_numpy(np.array([*images, b""], dtype=object)[:-1])
    return client.infer("screw", [tensor], headers=headers)


def test_a_call_is_logged_and_counted_as_a_request(serve: Serve, picture: Picture, log_lines: Lines) -> None:
    serve(grpc_port=0)
    with client_of(log_lines) as client:
        answer = judge(client, picture(0.2), headers={"x-request-id": "r7"})
    assert answer.as_numpy("decision").tolist() == [b"OK"]
    line = next(line for line in log_lines if line["event"] == "request")
    assert line["request_id"] == answer.get_response().id == "r7"
    assert (line["method"], line["status"], line["images"], line["decisions"]) == ("GRPC", 200, 1, {"OK": 1})


def test_a_key_is_asked_for_before_the_message_is_received(serve: Serve, picture: Picture, log_lines: Lines) -> None:
    secret, key = new_key("line", ("infer",))
    serve(grpc_port=0, api_keys=key.line())
    with client_of(log_lines) as client:
        assert client.is_server_live()
        with pytest.raises(InferenceServerException, match="unauthorized") as raised:
            judge(client, picture())
        assert raised.value.status() == "StatusCode.UNAUTHENTICATED"
        assert judge(client, picture(), headers={"authorization": f"Bearer {secret}"}).as_numpy("score").shape == (1,)
    refused, judged = (line for line in log_lines if line["event"] == "request" and "ModelInfer" in line["path"])
    assert (refused["status"], refused["code"], refused.get("bytes_in", 0)) == (401, "unauthorized", 0)
    assert judged["caller"] == "line"


def test_a_full_service_and_too_many_images_are_told_by_status(
    serve: Serve, fake_engine: type[FakeEngine], picture: Picture, log_lines: Lines
) -> None:
    engine = fake_engine(max_images=64)
    serve(engine, grpc_port=0, max_images=1)
    with client_of(log_lines) as client:
        with engine.admission.try_admit(64, 0), pytest.raises(InferenceServerException, match="overloaded") as raised:
            judge(client, picture())
        assert raised.value.status() == "StatusCode.RESOURCE_EXHAUSTED"
        with pytest.raises(InferenceServerException, match="too_many_images") as raised:
            judge(client, picture(), picture())
        assert raised.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert engine.admission.images == 0
    assert engine.admission.size == 0
