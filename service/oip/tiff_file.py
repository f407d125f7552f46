"""Writes pixels as an uncompressed TIFF, so that a tensor goes the way of every image file.

Decoder, limits, audit trail and overlays then know one kind of image. The rows are in the file as they are in the
tensor, so this costs one copy.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, OFFSETS, SAMPLES, ROWS, BYTES, EXTRA = range(10)
TAGS = (256, 257, 258, 259, 262, 273, 277, 278, 279, 338)
SHORT, LONG = 3, 4
HEADER = struct.Struct("<2sHI")
ENTRY = struct.Struct("<HHII")
BLACK_IS_ZERO, RGB = 1, 2


def tiff_file(pixels: npt.NDArray[Any]) -> bytes:
    """(H, W, C) uint8 or uint16 -> a little-endian TIFF with one strip.

    One channel is grey and three are RGB; of others nothing is said but that they are there.
    """
    height, width, samples = pixels.shape
    bits = pixels.dtype.itemsize * 8
    data = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<")).tobytes()
    data += b"\0" * (len(data) % 2)  # a directory begins on a word
    directory = HEADER.size + len(data)
    extra = 0 if samples in (1, 3) else samples - 1
    tags = TAGS if extra else TAGS[:EXTRA]
    after = directory + 2 + len(tags) * ENTRY.size + 4  # where the bit counts lie that an entry cannot hold
    inline = bits if samples == 1 else bits | bits << 16
    values = {
        WIDTH: (LONG, 1, width),
        HEIGHT: (LONG, 1, height),
        BITS: (SHORT, samples, inline if samples <= 2 else after),
        COMPRESSION: (SHORT, 1, 1),
        PHOTOMETRIC: (SHORT, 1, RGB if samples == 3 else BLACK_IS_ZERO),
        OFFSETS: (LONG, 1, HEADER.size),
        SAMPLES: (SHORT, 1, samples),
        ROWS: (LONG, 1, height),
        BYTES: (LONG, 1, pixels.nbytes),
        EXTRA: (SHORT, extra, 0 if extra <= 2 else after + 2 * samples),
    }
    entries = [ENTRY.pack(tag, *values[number]) for number, tag in enumerate(tags)]
    return b"".join(
        (
            HEADER.pack(b"II", 42, directory),
            data,
            struct.pack("<H", len(tags)),
            *entries,
            struct.pack("<I", 0),
            struct.pack(f"<{samples}H", *[bits] * samples),
            bytes(2 * extra),
        )
    )
