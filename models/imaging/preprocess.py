"""Decoded pixels in, the network's input out: the one preprocessing of trainer and service.

It is part of the artifact (`Preprocessing` in its manifest), so nothing outside decides how an image is seen.
"""

from __future__ import annotations

from typing import Any, Literal, Self

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from models.imaging.channels import ChannelGroup, check_groups
from models.imaging.samples import Pixels
from models.imaging.tiling import Tiling
from models.imaging.two_halves import average_down

Prepared = npt.NDArray[np.float32]
JPEG_SIDES = 4  # a reduced JPEG has at least so many times the network's side: less moves grey levels visibly
STRIP_PIXELS = 2**18  # averaged at a time where one side shrinks
Resize = Literal["stretch", "letterbox", "centre", "tiles"]
WhiteLevel = Literal[1023, 4095, 16383, 65535]


class Preprocessing(BaseModel):
    """How pixels become the network's input.

    `image_size` is the side S in pixels, a multiple of 32. `resize` "stretch" squeezes the whole image into the
    square, as the paper's code does; "letterbox" keeps its shape and repeats its edge pixels, "centre" takes the
    square in its middle, and "tiles" cuts it as `tiles` says, each tile stretched (models.imaging.picture_views).
    `sixteen_bit_white` is the value that counts as white in 16-bit images: cameras of 10 or 12 bits leave the upper
    bits empty, so the trainer takes the smallest of 1023, 4095, 16383, 65535 that holds its training images. Values
    above are cut off. `version` 2 resizes one side at a time where one shrinks and the other grows: the side that
    shrinks is averaged, the other interpolated. Version 1 samples both linearly there and passes over thin defects;
    artifacts from before this was known are of version 1 and are served so. `jpeg` "reduced" lets a JPEG be decoded
    at 1/2, 1/4 or 1/8 while both sides stay JPEG_SIDES times `image_size` or more; artifacts from before this was
    known are "full". `groups` are the groups of channels of a part, each of which is seen as a picture of its own
    (models.imaging.channels); none for pictures of 1 or 3 channels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_size: int = Field(default=128, ge=32, le=1024)
    resize: Resize = "stretch"
    tiles: Tiling | None = None
    sixteen_bit_white: WhiteLevel = 65535
    jpeg: Literal["full", "reduced"] = "full"
    version: Literal[1, 2] = 1
    groups: tuple[ChannelGroup, ...] = ()

    @field_validator("groups")
    @classmethod
    def _that_go_together(cls, value: tuple[ChannelGroup, ...]) -> tuple[ChannelGroup, ...]:
        check_groups(value)
        return value

    @field_validator("image_size")
    @classmethod
    def _multiple_of_32(cls, value: int) -> int:
        if value % 32:
            raise ValueError(f"the image size must be a multiple of 32 (the source halves it five times); got {value}")
        return value

    @model_validator(mode="after")
    def _tiles_where_they_belong(self) -> Self:
        if (self.tiles is not None) != (self.resize == "tiles"):
            raise ValueError('`tiles` goes with resize "tiles", and with no other')
        return self


def prepare(pixels: Pixels, preprocessing: Preprocessing) -> Prepared:
    """RGB (H, W, 3) uint8 or uint16 -> contiguous float32 (3, S, S) in [0, 1].

    Beside the pixels it holds the resized picture and the result; in mixed cases also the one with one side resized.
    """
    white = 255 if pixels.dtype == np.uint8 else preprocessing.sixteen_bit_white
    return as_input(resize(pixels, preprocessing.image_size, preprocessing.version), white)


def as_input(resized: npt.NDArray[Any], white: int) -> Prepared:
    """(S, S, 3) with that white level -> contiguous float32 (3, S, S) in [0, 1]."""
    out = np.empty((3, *resized.shape[:2]), np.float32)
    for channel, plane in zip(out, cv2.split(resized), strict=True):
        np.divide(plane, np.float32(white), out=channel, casting="unsafe")
    return out if resized.dtype == np.uint8 else np.minimum(out, np.float32(1), out=out)


def resize(pixels: Pixels, size: int, version: int) -> npt.NDArray[Any]:
    """(H, W, 3) -> (S, S, 3). Averaging is right for a side that shrinks, interpolation for one that grows.

    Where one side does each, version 2 averages the first to float32, then interpolates the second. OpenCV's
    INTER_AREA itself stops averaging as soon as one side grows.
    """
    height, width = pixels.shape[:2]
    if (height, width) == (size, size):
        return pixels
    if height >= size and width >= size:
        return average_down(pixels, size)
    if version == 1 or max(height, width) <= size:
        return np.asarray(cv2.resize(pixels, (size, size), interpolation=cv2.INTER_LINEAR))
    shrunk = (size, height) if width > size else (width, size)
    averaged = _averaged(pixels, shrunk)
    return np.asarray(cv2.resize(averaged, (size, size), interpolation=cv2.INTER_LINEAR))


def _averaged(pixels: Pixels, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """One side averaged to (width, height), in float32 as a second resize follows. Strip by strip: rows (or columns)
    do not touch each other where only the other side shrinks."""
    width, height = shape
    out = np.empty((height, width, 3), np.float32)
    along = 0 if height == pixels.shape[0] else 1  # the side that stays as it is
    step = max(1, STRIP_PIXELS // pixels.shape[1 - along])
    for start in range(0, shape[1 - along], step):
        part = (slice(start, start + step), slice(None)) if along == 0 else (slice(None), slice(start, start + step))
        strip = pixels[part].astype(np.float32)
        size = (width, len(strip)) if along == 0 else (strip.shape[1], height)
        out[part] = cv2.resize(strip, size, interpolation=cv2.INTER_AREA)
    return out


def is_enlarged(width: int, height: int, image_size: int) -> bool:
    """Whether a side of a picture is shorter than the network's input, so that a fit should warn of it."""
    return min(width, height) < image_size
