"""Averages a picture that arrives in bands of rows into a small one, as OpenCV's INTER_AREA does with the whole."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from models.imaging.samples import Pixels

STRIP_PIXELS = 2**18  # averaged at a time: in float32 a pixel takes 12 bytes


class AreaShrink:
    """(`height`, `width`, 3) -> (`size`, `size`, 3); neither side may be shorter than `size`.

    Sums are in float32, as OpenCV's are, in another order: where a sum lies at the middle between two grey levels the
    result may be the other one, else it is equal.
    """

    def __init__(self, width: int, height: int, size: int) -> None:
        if min(width, height) < size:
            raise ValueError(f"{width} x {height} cannot be averaged into {size} x {size}")
        self._size, self._width = size, width
        self._scale = height / size  # rows of the picture to one of the result
        self._total = np.zeros((size, size, 3), np.float32)
        self._rows = 0
        self._kind: np.dtype[Any] = np.dtype(np.uint8)

    def add(self, band: Pixels) -> None:
        """The next rows (n, width, 3)."""
        self._kind = band.dtype
        step = max(1, STRIP_PIXELS // self._width)
        for top in range(0, len(band), step):
            strip = band[top : top + step].astype(np.float32)
            across = cv2.resize(strip, (self._size, len(strip)), interpolation=cv2.INTER_AREA)
            self._sum_up(np.asarray(across), np.arange(len(strip) + 1))

    def add_copies(self, row: Pixels, count: int) -> None:
        """The next `count` rows, all of them equal to `row` (1, width, 3)."""
        if count:
            across = cv2.resize(row.astype(np.float32), (self._size, 1), interpolation=cv2.INTER_AREA)
            self._sum_up(np.asarray(across), np.array([0, count]))

    def result(self) -> Pixels:
        """(size, size, 3) of the bands' type, rounded."""
        return np.rint(self._total).astype(self._kind)

    def _sum_up(self, across: npt.NDArray[np.float32], edges: npt.NDArray[np.int64]) -> None:
        """Rows (n, size, 3) that reach from `edges` to `edges`: each counts by its share of the rows of the result."""
        edges = edges + self._rows
        self._rows = int(edges[-1])
        first, last = int(edges[0] / self._scale), min(self._size, int(np.ceil(edges[-1] / self._scale)))
        ends = np.arange(first, last + 1) * self._scale
        upper = np.minimum(edges[None, 1:], ends[1:, None])
        shares = np.clip(upper - np.maximum(edges[None, :-1], ends[:-1, None]), 0, None) / self._scale
        self._total[first:last] += np.einsum("kn,nsc->ksc", shares.astype(np.float32), across)
