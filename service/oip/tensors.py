"""What a request and an answer of the protocol hold, in whatever form they travel: tensors and parameters."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from service.errors import MalformedRequest
from service.inspection.encoded_image import EncodedImage

Parameter = bool | int | float | str
NUMPY_TYPES: dict[str, np.dtype[Any]] = {
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
LENGTH = struct.Struct("<I")  # before each element of a BYTES tensor in the binary form
MOST, MOST_SIDES = 2**31, 8


@dataclass(frozen=True, eq=False)
class InputTensor:
    """One tensor of a request: `images` for BYTES (one element each), `values` in their `shape` for numbers."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    images: tuple[EncodedImage, ...] = ()
    values: npt.NDArray[Any] | None = None


@dataclass(frozen=True)
class RequestedOutput:
    """An output by name; `binary` is what the request says of its form, None where it says nothing."""

    name: str
    binary: bool | None = None


@dataclass(frozen=True)
class InferRequest:
    """One request; `outputs` is empty where the caller leaves the choice to the service."""

    id: str
    parameters: Mapping[str, Parameter]
    inputs: tuple[InputTensor, ...]
    outputs: tuple[RequestedOutput, ...]


@dataclass(frozen=True, eq=False)
class OutputTensor:
    """One output, an element for each image: floats, or bytes for BYTES."""

    name: str
    datatype: str
    elements: tuple[float, ...] | tuple[bytes, ...]

    @property
    def shape(self) -> list[int]:
        """(N,), as the protocol lists it."""
        return [len(self.elements)]

    def raw(self) -> bytes:
        """The elements in the binary form."""
        if self.datatype == "BYTES":
            return b"".join(LENGTH.pack(len(one)) + one for one in self.elements if isinstance(one, bytes))
        return np.array(self.elements, NUMPY_TYPES[self.datatype]).tobytes()


def elements_of(raw: memoryview, expected: int, where: str) -> tuple[bytes, ...]:
    """The elements of a BYTES tensor in the binary form. Raises MalformedRequest where the lengths do not add up."""
    found: list[bytes] = []
    at = 0
    while at < len(raw) and len(found) < expected:
        end = at + LENGTH.size
        size = LENGTH.unpack(raw[at:end])[0] if end <= len(raw) else len(raw)
        if end + size > len(raw):
            raise MalformedRequest(
                f"{where}: element {len(found)} ends {end + size - len(raw):,} bytes after the tensor"
            )
        found.append(bytes(raw[end : end + size]))
        at = end + size
    if len(found) != expected or at != len(raw):
        raise MalformedRequest(
            f"{where}: its shape has {expected} elements; its bytes hold {len(found)} and {len(raw) - at:,} bytes more"
        )
    return tuple(found)


def array_of(raw: memoryview, datatype: str, shape: tuple[int, ...], where: str) -> npt.NDArray[Any]:
    """The numbers of a tensor in the binary form, without a copy. Raises MalformedRequest for a wrong size."""
    kind = NUMPY_TYPES[datatype]
    needed = prod(shape) * kind.itemsize
    if len(raw) != needed:
        raise MalformedRequest(
            f"{where}: {datatype} of shape {list(shape)} takes {needed:,} bytes; {len(raw):,} are there"
        )
    return np.frombuffer(raw, kind).reshape(shape)


def checked_shape(shape: Sequence[object], where: str) -> tuple[int, ...]:
    """The sides as whole numbers above 0. Raises MalformedRequest."""
    sides = tuple(side for side in shape if isinstance(side, int) and not isinstance(side, bool) and 0 < side < MOST)
    if not sides or len(sides) > MOST_SIDES or len(sides) != len(shape):
        raise MalformedRequest(f"{where}: `shape` must be 1 to {MOST_SIDES} whole numbers above 0")
    return sides
