"""Decoded pixels in, the network's input out: the one preprocessing of trainer and service.

It is part of the artifact (`Preprocessing` in its manifest), so nothing outside decides how an image is seen.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, field_validator

from models.imaging.decode import ImageLimits, Pixels, decode

Prepared = npt.NDArray[np.float32]
JPEG_SIDES = 4  # a reduced JPEG has at least so many times the network's side: less moves grey levels visibly
WhiteLevel = Literal[1023, 4095, 16383, 65535]


class Preprocessing(BaseModel):
    """How pixels become the network's input.

    `image_size` is the side S in pixels, a multiple of 32. `resize` "stretch" squeezes the whole image into the square,
    as the paper's code does. `sixteen_bit_white` is the value that counts as white in 16-bit images: cameras of 10 or
    12 bits leave the upper bits empty, so the trainer takes the smallest of 1023, 4095, 16383, 65535 that holds its
    training images. Values above are cut off. `jpeg` "reduced" lets a JPEG be decoded at 1/2, 1/4 or 1/8 while both
    sides stay JPEG_SIDES times `image_size` or more; artifacts from before this was known are "full".
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_size: int = Field(default=128, ge=32, le=1024)
    resize: Literal["stretch"] = "stretch"
    sixteen_bit_white: WhiteLevel = 65535
    jpeg: Literal["full", "reduced"] = "full"

    @field_validator("image_size")
    @classmethod
    def _multiple_of_32(cls, value: int) -> int:
        if value % 32:
            raise ValueError(f"the image size must be a multiple of 32 (the source halves it five times); got {value}")
        return value


class PreparedFile(NamedTuple):
    """(3, S, S) float32, and width and height of the image as it was sent."""

    image: Prepared
    width: int
    height: int


def prepare_file(data: bytes, preprocessing: Preprocessing, limits: ImageLimits | None = None) -> PreparedFile:
    """The bytes of an image file -> the network's input. Raises ImageError."""
    least = JPEG_SIDES * preprocessing.image_size if preprocessing.jpeg == "reduced" else None
    decoded = decode(data, limits, least)
    return PreparedFile(prepare(decoded.pixels, preprocessing), decoded.width, decoded.height)


def prepare(pixels: Pixels, preprocessing: Preprocessing) -> Prepared:
    """RGB (H, W, 3) uint8 or uint16 -> contiguous float32 (3, S, S) in [0, 1]."""
    size = preprocessing.image_size
    height, width = pixels.shape[:2]
    if (height, width) != (size, size):
        # Averaging whole areas is right for shrinking only; enlarging needs an interpolation.
        shrinks = height >= size and width >= size
        pixels = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)  # type: ignore[assignment]
    white = 255 if pixels.dtype == np.uint8 else preprocessing.sixteen_bit_white
    scaled = pixels.transpose(2, 0, 1).astype(np.float32) / np.float32(white)
    return np.ascontiguousarray(np.minimum(scaled, np.float32(1)))
