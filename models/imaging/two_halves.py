"""Averages a picture down by OpenCV's INTER_AREA, upper and lower half side by side where the cut changes no number.

A row of the result is a weighted sum of the rows that it covers. Where it begins at a whole row of the picture, both
sides of it can be averaged by themselves. The lower half is another thread's if that one is idle.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from math import gcd

import cv2
import numpy as np

from models.imaging.samples import Pixels

LEAST_PIXELS = 1 << 17  # of a picture that is worth waking a thread for: 0.4 ms of work


def average_down(pixels: Pixels, size: int) -> Pixels:
    """(H, W, 3), neither side shorter than `size` -> (size, size, 3) of the same type."""
    height, width = pixels.shape[:2]
    cut = middle_cut(height, size) if height * width >= LEAST_PIXELS and _cores() > 1 else None
    if cut is None:
        return cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]
    out = np.empty((size, size, *pixels.shape[2:]), pixels.dtype)
    row = cut * height // size

    def lower() -> None:
        cv2.resize(pixels[row:], (size, size - cut), dst=out[cut:], interpolation=cv2.INTER_AREA)

    other = _helper().submit(lower)
    cv2.resize(pixels[:row], (size, cut), dst=out[:cut], interpolation=cv2.INTER_AREA)
    if other.cancel():  # no thread was idle
        lower()
    else:
        other.result()
    return out


def middle_cut(height: int, size: int) -> int | None:
    """The row of the result nearest to its middle that begins at a whole row of the picture; None where none does."""
    step = size // gcd(height, size)
    cut = round(size / 2 / step) * step
    return cut if 0 < cut < size else None


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@lru_cache(maxsize=1)
def _helper() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="mkd-half")
