"""A prepared image and the size of its original in; a few numbers on light, lens, place and size out.

They know nothing of products or defects: they are what a camera that was moved, a lamp that ages or a lens out of focus
changes first. The trainer writes those of the calibration images into the artifact, the service compares.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.imaging.preprocess import Prepared

STATISTICS: dict[str, str] = {
    "brightness": "mean grey, 0 black to 1 white",
    "contrast": "standard deviation of grey",
    "sharpness": "variance of the Laplacian of grey",
    "centre_x": "centre of what differs from the picture's middle grey, 0 left to 1 right",
    "centre_y": "the same, 0 top to 1 bottom",
    "aspect": "width by height of the original",
    "size": "pixels of the original",
}
DIGITS = 7  # of what is stored: float32 has no more
ROUNDED = 10.0 ** (1 - DIGITS)  # by which a stored value may differ from the measured one, as a share of it


class InputStatistics(BaseModel):
    """Each statistic's values on the calibration images, ascending, all of equal length n."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    values: dict[str, tuple[float, ...]] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len({len(values) for values in self.values.values()}) != 1:
            raise ValueError("every input statistic must have one value per calibration image")
        for name, values in self.values.items():
            if not values or any(not math.isfinite(value) for value in values) or list(values) != sorted(values):
                raise ValueError(f"the values of {name} must be finite and in ascending order")
        return self

    def has_size(self, width: int, height: int) -> bool | None:
        """Whether pixels and aspect of a picture lie in the range of the calibration images; None if not measured."""
        found = {"size": float(width * height), "aspect": width / height}
        if not found.keys() <= self.values.keys():
            return None
        ranges = {name: (self.values[name][0], self.values[name][-1]) for name in found}
        return all(low * (1 - ROUNDED) <= found[name] <= high * (1 + ROUNDED) for name, (low, high) in ranges.items())


def measure(image: Prepared, width: int, height: int) -> npt.NDArray[np.float64]:
    """(3, h, w) in [0, 1] and the original's pixels -> one number for each of STATISTICS, in their order."""
    grey = image.mean(axis=0)
    mean, deviation = cv2.meanStdDev(grey)
    _, edges = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_32F))
    centre_x, centre_y = _centre(grey)
    return np.array(
        [mean.item(), deviation.item(), edges.item() ** 2, centre_x, centre_y, width / height, float(width * height)]
    )


def _centre(grey: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Centre of gravity of |grey - its median|, as shares of the side; the middle for an even picture."""
    weight = np.abs(grey - np.median(grey[::4, ::4]))  # a sixteenth of the pixels tells the median well enough
    total = float(weight.sum())
    if total <= 0:
        return 0.5, 0.5
    across, down = _shares(grey.shape[1]), _shares(grey.shape[0])
    return float(weight.sum(axis=0) @ across) / total, float(weight.sum(axis=1) @ down) / total


@lru_cache(maxsize=8)
def _shares(side: int) -> npt.NDArray[np.float32]:
    """From 0 to 1 in `side` steps; not to be changed."""
    return np.linspace(0, 1, side, dtype=np.float32)


def collect(measured: Iterable[npt.NDArray[np.float64]]) -> InputStatistics:
    """The numbers of each calibration image, as `measure` gives them -> what the artifact keeps."""
    columns = np.sort(np.stack(list(measured)), axis=0).T
    rounded = [tuple(float(f"{value:.{DIGITS}g}") for value in column) for column in columns]
    return InputStatistics(values=dict(zip(STATISTICS, rounded, strict=True)))
