"""Turns pixels the way that EXIF's orientation says, so that an image is judged as a viewer shows it.

The tag is read from EXIF alone (TIFF's own tag is the same number); XMP and text chunks are not asked.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from models.imaging.errors import ImageError
from models.imaging.tiff.directory import read_directory

ORIENTATION_TAG = 0x0112
SIDEWAYS = frozenset({5, 6, 7, 8})  # orientations by which width and height change places


def exif_orientation(block: bytes) -> int:
    """An EXIF block (a small TIFF, with or without its prefix) -> 1..8; 1 for none, nonsense or a damaged block."""
    try:
        directory = read_directory(block.removeprefix(b"Exif\0\0"), whole=False)
    except ImageError:
        return 1  # what surrounds the picture is damaged, not the picture: it is judged as it lies
    return valid_orientation(directory.values(ORIENTATION_TAG))


def valid_orientation(values: tuple[int, ...]) -> int:
    """The values of the tag -> 1..8, 1 for anything else."""
    return values[0] if len(values) == 1 and 1 <= values[0] <= 8 else 1


def oriented(pixels: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """(H, W, C) or (H, W) as stored -> as shown, contiguous; the array itself for orientation 1."""
    if orientation == 1:
        return np.ascontiguousarray(pixels)
    if orientation in SIDEWAYS:
        pixels = pixels.swapaxes(0, 1)
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def as_stored(shown: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """The inverse of `oriented`, as a view: what is written to it as stored lies in `shown` as shown."""
    pixels = shown
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return pixels.swapaxes(0, 1) if orientation in SIDEWAYS else pixels
