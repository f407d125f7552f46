"""A picture and a target brightness in, the picture with that median brightness out.

For measuring only: where good and defective pictures of a set were taken in different light, a score that reacts to
light alone looks perfect. Levelled pictures take that away from every method alike.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import numpy as np

from models.imaging.decode import ImageError, Pixels
from trainer.data import DataError, read_pixels


def usual_median(files: Iterable[Path]) -> float:
    """The median over the readable pictures of their median brightness, in grey levels of their files."""
    medians = []
    for file in files:
        with contextlib.suppress(ImageError):
            medians.append(np.median(read_pixels(file)))
    if not medians:
        raise DataError("no picture can be read, so none can be levelled")
    return float(np.median(medians))


def level(pixels: Pixels, target: float) -> Pixels:
    """Every value times one factor, so that the median is `target`; cut off at white. A black picture stays black."""
    median = float(np.median(pixels))
    if median == 0:
        return pixels
    white = np.iinfo(pixels.dtype).max
    return cast(Pixels, np.clip(np.rint(pixels * (target / median)), 0, white).astype(pixels.dtype))
