"""The base of every object that comes out of an answer, and the reading of pictures and text in it."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, TypeVar

import cv2
import httpx
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, PlainValidator

Grey = npt.NDArray[np.uint8]
B = TypeVar("B", bound=BaseModel)


class Answer(BaseModel):
    """Read strictly: text is never taken for a number, and no number is infinite. Members of newer services are
    passed over.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)


def read(kind: type[B], answer: httpx.Response) -> B:
    """The body of an answer. Raises ValueError where it is not as documented."""
    media_type = answer.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != "application/json":
        raise ValueError(f"the answer is {media_type or 'of no type'}, not application/json")
    return kind.model_validate_json(answer.content)


def pixels(text: object) -> Grey:
    """A PNG file in base64 -> uint8 (H, W), or (H, W, 3) RGB. Raises ValueError."""
    if not isinstance(text, str):
        raise ValueError("a picture is text in base64")
    try:
        data = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
        found = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    except (binascii.Error, cv2.error) as error:
        raise ValueError(f"the picture cannot be read: {error}") from None
    if found is None or found.dtype != np.uint8 or (found.ndim == 3 and found.shape[2] != 3):
        raise ValueError("the picture is no PNG of 8 bits, grey or RGB")
    return np.ascontiguousarray(found if found.ndim == 2 else found[:, :, ::-1], dtype=np.uint8)


Picture = Annotated[Any, PlainValidator(pixels)]
