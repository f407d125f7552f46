"""The table of gRPC messages is the wire form that other implementations of the protocol have."""

from __future__ import annotations

from typing import Any

import pytest
from tritonclient.grpc import service_pb2

from service.oip.grpc.messages import CLASSES


def described(message: Any) -> dict[str, Any]:
    fields = {
        one.number: (one.name, one.type, one.is_repeated, one.containing_oneof and one.containing_oneof.name)
        for one in message.fields
    }
    return {"fields": fields, "within": {one.name: described(one) for one in message.nested_types}}


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_a_message_has_the_fields_that_the_client_of_triton_knows(name: str) -> None:
    assert described(CLASSES[name].DESCRIPTOR) == described(service_pb2.DESCRIPTOR.message_types_by_name[name])


def test_a_request_of_another_implementation_can_be_read() -> None:
    sent = service_pb2.ModelInferRequest(model_name="screw", raw_input_contents=[b"1", b""])
    sent.parameters["review"].string_param = "off"
    read = CLASSES["ModelInferRequest"].FromString(sent.SerializeToString())
    assert (read.model_name, list(read.raw_input_contents)) == ("screw", [b"1", b""])
    assert read.parameters["review"].string_param == "off"
