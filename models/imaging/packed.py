"""Unpacks samples of 1 to 16 bits that lie without gaps, the first in the highest bits, rows beginning at a byte."""

from __future__ import annotations

from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt

ROWS_BYTES = 2**20  # unpacked at a time: the intermediate takes eight bytes for each group


def unpack(rows: npt.NDArray[np.uint8], bits: int) -> npt.NDArray[Any]:
    """(H, bytes of a row) -> (H, samples), uint8 up to 8 bits and uint16 above; the padding of a row comes as samples.

    A group of `bits` / gcd(8, `bits`) bytes holds a whole number of samples: 12 bits give two samples in three bytes.
    """
    if bits == 8:
        return rows
    size = bits // gcd(8, bits)  # bytes of a group
    count = 8 * size // bits  # samples of a group
    height, length = rows.shape
    groups = -(-length // size)
    out = np.empty((height, groups * count), np.uint8 if bits < 8 else np.uint16)
    step = max(1, ROWS_BYTES // max(1, length))
    for top in range(0, height, step):
        block = rows[top : top + step]
        if groups * size != length:
            block = np.pad(block, ((0, 0), (0, groups * size - length)))
        parts = block.reshape(len(block), groups, size)
        whole = np.zeros(parts.shape[:2], np.uint64)
        for place in range(size):
            whole = (whole << np.uint64(8)) | parts[:, :, place]
        for place in range(count):
            shift = np.uint64(bits * (count - 1 - place))
            out[top : top + step, place::count] = (whole >> shift) & np.uint64(2**bits - 1)
    return out
