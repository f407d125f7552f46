"""Reads and writes the REST form of the protocol: JSON, with the binary tensor extension behind it.

The extension puts the bytes of tensors behind the JSON, whose length a header tells. Images belong there: the JSON
is parsed as a whole, so it is bounded.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.imaging.errors import ImageError
from service.errors import BodyTooLarge, MalformedRequest
from service.inspection.encoded_image import EncodedImage
from service.oip.images import DATATYPES
from service.oip.tensors import (
    NUMPY_TYPES,
    InferRequest,
    InputTensor,
    OutputTensor,
    Parameter,
    RequestedOutput,
    array_of,
    checked_shape,
    elements_of,
)

LENGTH_HEADER = "Inference-Header-Content-Length"
MAX_JSON_BYTES = 8 << 20
MAX_CONTAINERS = 1_000_000  # lists and objects: each takes the parser twenty times its bytes
SHORT_JSON_BYTES = 16 << 10  # parsed in a tenth of a millisecond or less
SOON_COPIED_BYTES = 16 << 20  # a few milliseconds
BINARY_SIZE = "binary_data_size"
Members = dict[str, Any]


def is_soon_read(body: bytes, json_length: str | None) -> bool:
    """Whether `read_request` takes no longer than the event loop may be held: a short JSON, and bytes to be copied."""
    if json_length is None:
        return len(body) <= SHORT_JSON_BYTES
    short = json_length.isascii() and json_length.isdigit() and len(json_length) < 9
    return short and int(json_length) <= SHORT_JSON_BYTES and len(body) <= SOON_COPIED_BYTES


def read_request(body: bytes, json_length: str | None) -> InferRequest:
    """A body and the text of LENGTH_HEADER -> the request. Raises MalformedRequest, BodyTooLarge."""
    length = len(body)
    if json_length is not None:
        if not json_length.isascii() or not json_length.isdigit() or int(json_length) > len(body):
            raise MalformedRequest(f"header {LENGTH_HEADER}: a whole number, at most the length of the body")
        length = int(json_length)
    root = _parsed(body[:length])
    rest = _Binary(memoryview(body)[length:])
    inputs = tuple(_input(one, number, rest) for number, one in enumerate(_list(root, "inputs")))
    if rest.left:
        raise MalformedRequest(f"{rest.left:,} bytes follow the last tensor that has a `{BINARY_SIZE}`")
    outputs = tuple(_output(one, number) for number, one in enumerate(_list(root, "outputs")))
    identity = root.get("id", "")
    if not isinstance(identity, str):
        raise MalformedRequest("`id` must be a text")
    return InferRequest(identity, _parameters(root, "the request"), inputs, outputs)


def write_answer(
    members: Mapping[str, object], tensors: Sequence[tuple[OutputTensor, bool]]
) -> tuple[bytes, int | None]:
    """`members` of the answer and its tensors, each with whether it is binary -> the body, and the JSON's length.

    The length is None where no tensor is binary.
    """
    outputs: list[Members] = []
    binary: list[bytes] = []
    for tensor, as_binary in tensors:
        entry: Members = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
        if as_binary:
            binary.append(tensor.raw())
            entry["parameters"] = {BINARY_SIZE: len(binary[-1])}
        else:
            entry["data"] = [_as_json(one) for one in tensor.elements]
        outputs.append(entry)
    text = json.dumps({**members, "outputs": outputs}, ensure_ascii=False, allow_nan=False).encode()
    return b"".join((text, *binary)), len(text) if binary else None


def _as_json(element: float | bytes) -> object:
    if isinstance(element, float):
        return element if math.isfinite(element) else None
    try:
        return element.decode()
    except UnicodeDecodeError:  # a picture
        return base64.b64encode(element).decode()


class _Binary:
    """The bytes behind the JSON, which the tensors take in turn."""

    def __init__(self, data: memoryview) -> None:
        self._data = data

    @property
    def left(self) -> int:
        return len(self._data)

    def take(self, size: object, where: str) -> memoryview:
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= self.left:
            raise MalformedRequest(
                f"{where}: `{BINARY_SIZE}` must be a whole number, at most the {self.left:,} bytes that are left; "
                f"the header {LENGTH_HEADER} says where the JSON ends"
            )
        taken, self._data = self._data[:size], self._data[size:]
        return taken


def _parsed(text: bytes) -> Members:
    if len(text) > MAX_JSON_BYTES:
        raise BodyTooLarge(
            f"the JSON has {len(text):,} bytes, at most {MAX_JSON_BYTES:,} are taken: send tensors in the binary form"
        )
    if text.count(b"[") + text.count(b"{") > MAX_CONTAINERS:
        raise MalformedRequest(f"more than {MAX_CONTAINERS:,} lists: send `data` flat, or in the binary form")
    try:
        root = json.loads(text)
    except (ValueError, RecursionError):
        raise MalformedRequest("the body is not JSON") from None
    return _object(root, "the body")


def _input(entry: object, number: int, rest: _Binary) -> InputTensor:
    where = f"inputs.{number}"
    members = _object(entry, where)
    name, datatype = members.get("name"), members.get("datatype")
    if not isinstance(name, str) or not isinstance(datatype, str) or datatype not in DATATYPES:
        raise MalformedRequest(f"{where}: `name` must be a text and `datatype` one of {', '.join(DATATYPES)}")
    shape = checked_shape(_list(members, "shape"), where)
    parameters = _parameters(members, where)
    count = math.prod(shape)
    if BINARY_SIZE in parameters:
        raw = rest.take(parameters[BINARY_SIZE], where)
        if datatype == "BYTES":
            images = tuple(EncodedImage(one) for one in elements_of(raw, count, where))
            return InputTensor(name, datatype, shape, parameters, images)
        return InputTensor(name, datatype, shape, parameters, values=array_of(raw, datatype, shape, where))
    if "data" not in members:
        raise MalformedRequest(f"{where}: it has neither `data` nor the parameter `{BINARY_SIZE}`")
    if datatype == "BYTES":
        return InputTensor(name, datatype, shape, parameters, _from_base64(members["data"], count, where))
    return InputTensor(name, datatype, shape, parameters, values=_numbers(members["data"], datatype, shape, where))


def _from_base64(data: object, count: int, where: str) -> tuple[EncodedImage, ...]:
    flat = np.array(data, dtype=object).ravel().tolist() if isinstance(data, list) else []
    if len(flat) != count or not all(isinstance(one, str) for one in flat):
        raise MalformedRequest(f"{where}: `data` must be {count} texts in base64, as `shape` says")
    return tuple(_image(text) for text in flat)


def _image(text: str) -> EncodedImage:
    try:
        return EncodedImage(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        detail = "an element is not base64 (RFC 4648, with padding); JSON holds no bytes, the binary form does"
        return EncodedImage(b"", error=ImageError("image_base64_invalid", detail))


def _numbers(data: object, datatype: str, shape: tuple[int, ...], where: str) -> npt.NDArray[Any]:
    kind = NUMPY_TYPES[datatype]
    try:
        found = np.array(data)
    except ValueError:
        raise MalformedRequest(f"{where}: the lists in `data` are of unequal lengths") from None
    if found.size != math.prod(shape) or found.dtype.kind not in ("iu" if kind.kind == "u" else "iuf"):
        raise MalformedRequest(f"{where}: `data` must be {math.prod(shape):,} numbers that {datatype} can hold")
    if kind.kind == "u" and not (found.min() >= 0 and found.max() <= np.iinfo(kind).max):
        raise MalformedRequest(f"{where}: `data` has numbers that {datatype} cannot hold")
    return found.astype(kind).reshape(shape)


def _output(entry: object, number: int) -> RequestedOutput:
    members = _object(entry, f"outputs.{number}")
    name, parameters = members.get("name"), _parameters(members, f"outputs.{number}")
    binary = parameters.get("binary_data")
    if not isinstance(name, str) or (binary is not None and not isinstance(binary, bool)):
        raise MalformedRequest(f"outputs.{number}: `name` must be a text, `binary_data` true or false")
    if unknown := set(parameters) - {"binary_data"}:
        raise MalformedRequest(f"outputs.{number}: parameter {min(unknown)[:64]!r} is not known")
    return RequestedOutput(name, binary)


def _object(value: object, where: str) -> Members:
    if not isinstance(value, dict):
        raise MalformedRequest(f"{where} must be an object")
    return value


def _list(members: Members, name: str) -> list[Any]:
    value = members.get(name, [])
    if not isinstance(value, list):
        raise MalformedRequest(f"`{name}` must be a list")
    return value


def _parameters(members: Members, where: str) -> dict[str, Parameter]:
    found = _object(members.get("parameters", {}), f"{where}: `parameters`")
    if not all(isinstance(value, bool | int | float | str) for value in found.values()):
        raise MalformedRequest(f"{where}: parameters must be texts, numbers, true or false")
    return found
