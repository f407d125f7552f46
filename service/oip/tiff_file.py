"""Writes pixels as an uncompressed TIFF, so that a tensor goes the way of every image file.

Decoder, limits, audit trail and overlays then know one kind of image. The rows are in the file as they are in the
tensor, so this costs one copy.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, OFFSETS, SAMPLES, ROWS, BYTES = range(9)
TAGS = (256, 257, 258, 259, 262, 273, 277, 278, 279)
SHORT, LONG = 3, 4
HEADER = struct.Struct("<2sHI")
ENTRY = struct.Struct("<HHII")
BLACK_IS_ZERO, RGB = 1, 2


def tiff_file(pixels: npt.NDArray[Any]) -> bytes:
    """(H, W, C) uint8 or uint16, C 1 or 3 -> a little-endian TIFF with one strip."""
    height, width, samples = pixels.shape
    bits = pixels.dtype.itemsize * 8
    data = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<")).tobytes()
    data += b"\0" * (len(data) % 2)  # a directory begins on a word
    directory = HEADER.size + len(data)
    after = directory + 2 + len(TAGS) * ENTRY.size + 4  # where three bit counts lie, which an entry cannot hold
    values = {
        WIDTH: (LONG, 1, width),
        HEIGHT: (LONG, 1, height),
        BITS: (SHORT, samples, bits if samples == 1 else after),
        COMPRESSION: (SHORT, 1, 1),
        PHOTOMETRIC: (SHORT, 1, BLACK_IS_ZERO if samples == 1 else RGB),
        OFFSETS: (LONG, 1, HEADER.size),
        SAMPLES: (SHORT, 1, samples),
        ROWS: (LONG, 1, height),
        BYTES: (LONG, 1, pixels.nbytes),
    }
    entries = [ENTRY.pack(tag, *values[number]) for number, tag in enumerate(TAGS)]
    return b"".join(
        (
            HEADER.pack(b"II", 42, directory),
            data,
            struct.pack("<H", len(TAGS)),
            *entries,
            struct.pack("<I", 0),
            struct.pack(f"<{samples}H", *[bits] * samples),
        )
    )
