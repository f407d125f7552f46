"""Lays colours over black by their opacity, unless the opacity hides the whole picture.

A fourth channel is opacity only where the file says so. Cameras and editors write opacity 0 or 1 everywhere by mistake:
where HIDDEN_SHARE of the pixels are at most HIDDEN_OPACITY of opaque, the opacity is ignored and the colours are used
as they are stored. Otherwise such a picture would be black, and a black picture teaches and tells nothing.
"""

from __future__ import annotations

import numpy as np

from models.imaging.samples import Pixels

HIDDEN_SHARE = 0.99
HIDDEN_OPACITY = 1 / 255
STRIP_PIXELS = 2**18  # blended at a time


def over_black(rgb: Pixels, opacity: Pixels) -> Pixels:
    """RGB (H, W, 3) and opacity (H, W) of the same type -> RGB, rounded to the nearest; `rgb` is written over."""
    white = int(np.iinfo(rgb.dtype).max)
    if hides_everything(opacity):
        return rgb
    height, width = opacity.shape
    step = max(1, STRIP_PIXELS // width)
    for top in range(0, height, step):
        part, clear = rgb[top : top + step], opacity[top : top + step, :, None].astype(np.uint64)
        part[:] = (part * clear + white // 2) // white
    return rgb


def hides_everything(opacity: Pixels) -> bool:
    """Whether nearly all of a picture would be black by its opacity alone."""
    lowest = int(np.iinfo(opacity.dtype).max * HIDDEN_OPACITY)
    return int(np.count_nonzero(opacity <= lowest)) >= HIDDEN_SHARE * opacity.size
