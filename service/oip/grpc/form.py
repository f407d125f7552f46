"""Reads and writes the gRPC form of the protocol: messages to the request and answer that REST has too."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from service.errors import MalformedRequest
from service.inspection.encoded_image import EncodedImage
from service.oip.grpc.messages import CLASSES
from service.oip.images import DATATYPES
from service.oip.judge import Answer
from service.oip.tensors import (
    NUMPY_TYPES,
    InferRequest,
    InputTensor,
    Parameter,
    RequestedOutput,
    array_of,
    checked_shape,
    elements_of,
)

CONTENTS = {"UINT8": "uint_contents", "UINT16": "uint_contents", "FP32": "fp32_contents"}
BINARY = frozenset({"binary_data", "binary_data_size", "binary_data_output"})  # of REST; all outputs are raw here


def read_request(message: Any) -> InferRequest:
    """A ModelInferRequest -> the request. Raises MalformedRequest."""
    raw = list(message.raw_input_contents)
    if raw and len(raw) != len(message.inputs):
        raise MalformedRequest(f"raw_input_contents: {len(raw)} for {len(message.inputs)} inputs; send one for each")
    inputs = tuple(
        _input(one, raw[number] if raw else None, f"inputs.{number}") for number, one in enumerate(message.inputs)
    )
    for one in message.outputs:
        if unknown := set(one.parameters) - BINARY:
            raise MalformedRequest(f"output {one.name[:64]!r}: parameter {min(unknown)[:64]!r} is not known")
    outputs = tuple(RequestedOutput(one.name) for one in message.outputs)
    return InferRequest(message.id, _parameters(message.parameters), inputs, outputs)


def write_answer(name: str, identity: str, answer: Answer) -> Any:
    """The ModelInferResponse, all tensors in their raw form."""
    message = CLASSES["ModelInferResponse"](model_name=name, model_version=answer.version, id=identity)
    for tensor in answer.tensors:
        message.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        message.raw_output_contents.append(tensor.raw())
    return message


def _input(one: Any, raw: bytes | None, where: str) -> InputTensor:
    if one.datatype not in DATATYPES:
        raise MalformedRequest(f"{where}: `datatype` must be one of {', '.join(DATATYPES)}")
    shape = checked_shape(one.shape, where)
    parameters = _parameters(one.parameters)
    if one.datatype == "BYTES":
        given = one.contents.bytes_contents
        elements = tuple(given) if raw is None else elements_of(memoryview(raw), prod(shape), where)
        if len(elements) != prod(shape):
            raise MalformedRequest(
                f"{where}: its shape has {prod(shape)} elements; bytes_contents holds {len(elements)}"
            )
        return InputTensor(one.name, one.datatype, shape, parameters, tuple(EncodedImage(data) for data in elements))
    if raw is None:
        raw = _packed(one, where)
    return InputTensor(
        one.name, one.datatype, shape, parameters, values=array_of(memoryview(raw), one.datatype, shape, where)
    )


def _packed(one: Any, where: str) -> bytes:
    """The typed contents of a tensor as its raw form."""
    values = np.array(getattr(one.contents, CONTENTS[one.datatype]))
    kind = NUMPY_TYPES[one.datatype]
    if kind.kind == "u" and values.size and values.max() > np.iinfo(kind).max:
        raise MalformedRequest(f"{where}: its contents have numbers that {one.datatype} cannot hold")
    return values.astype(kind).tobytes()


def _parameters(given: Mapping[str, Any]) -> dict[str, Parameter]:
    found: dict[str, Parameter] = {}
    for name, value in given.items():
        chosen = value.WhichOneof("parameter_choice")
        if chosen is None:
            raise MalformedRequest(f"parameter {name[:64]!r} has no value")
        found[name] = getattr(value, chosen)
    return found
