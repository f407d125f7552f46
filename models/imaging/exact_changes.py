"""Mirrorings and turns of a picture, pixel by pixel: nothing is interpolated and no value is new."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

PixelArray = npt.NDArray[Any]  # (H, W, C)
ExactChange = Callable[[PixelArray], PixelArray]

EXACT_CHANGES: Mapping[str, ExactChange] = {
    "as it is": lambda pixels: pixels,
    "left to right": lambda pixels: pixels[:, ::-1],
    "upside down": lambda pixels: pixels[::-1],
    "turned by 180": lambda pixels: pixels[::-1, ::-1],
    "turned by 90": lambda pixels: np.rot90(pixels, 1),
    "turned by 270": lambda pixels: np.rot90(pixels, 3),
    "transposed": lambda pixels: pixels.swapaxes(0, 1),
    "transposed, turned by 180": lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
}
