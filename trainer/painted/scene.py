"""A good picture as the painters see it: windows in shares of white, its noise, and where there is something to spoil.

Only windows are converted to floats, so that a painted defect costs what its own size costs, whatever the picture's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from models.imaging.decode import Pixels

Picture = npt.NDArray[np.float32]  # (H, W, 3), 0 to 1 of the white level
Cover = npt.NDArray[np.float32]  # (H, W), 0 to 1
WHITE_LEVELS = (255, 1023, 4095, 16383, 65535)
THUMBNAIL = 48  # pixels of the longer side of the picture in which places are looked for
NOISE_WINDOW = 512  # pixels of the side of the middle piece in which the noise is measured
ANYWHERE = 0.2  # share of the defects that may lie on empty background, too


class CannotPaint(ValueError):
    """This kind of defect cannot be seen on this picture; the text says why."""


class Box(NamedTuple):
    """A window inside a picture, in pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


class Scene:
    """One picture (H, W, 3) of 8 or 16 bits, and `others`: further good pictures, for foreign textures.

    `white` is 255, or the smallest white level of a camera that holds a 16-bit picture. `noise` is the standard
    deviation of the picture's own noise in shares of white, `grey` whether its three channels are equal.
    """

    def __init__(self, pixels: Pixels, others: Sequence[Pixels] = ()) -> None:
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype not in (np.uint8, np.uint16):
            raise ValueError(f"pixels must be (H, W, 3) of uint8 or uint16; got {pixels.shape} of {pixels.dtype}")
        self.pixels = pixels
        self.others = tuple(others)
        self.height, self.width = pixels.shape[:2]
        self.white = white_level(pixels)
        self.grey = bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all())
        self.noise = _noise(self.window(_middle(self.height, self.width)))
        self._busy = _busy_places(pixels, self.white)

    def window(self, box: Box) -> Picture:
        """The picture inside the box."""
        return np.asarray(self.pixels[box.slices] / np.float32(self.white), dtype=np.float32)

    def around(self, y: float, x: float, height: int, width: int) -> Box:
        """The box of that size about a place, moved so that it lies inside the picture, cut off where it cannot."""
        height, width = min(height, self.height), min(width, self.width)
        top = int(np.clip(round(y - height / 2), 0, self.height - height))
        left = int(np.clip(round(x - width / 2), 0, self.width - width))
        return Box(top, left, height, width)

    def place(self, random: np.random.Generator) -> tuple[float, float]:
        """(y, x), mostly where the picture shows something: defects belong to parts more than to their background."""
        rows, columns = self._busy.shape
        row, column = divmod(int(random.choice(self._busy.size, p=self._busy.ravel())), columns)
        y, x = (row + random.uniform()) / rows, (column + random.uniform()) / columns
        return y * self.height, x * self.width

    def colour(self, random: np.random.Generator) -> Picture:
        """(3,) of values up to 1, the largest is 1: a direction of colour, or grey for a grey picture."""
        if self.grey:
            return np.ones(3, dtype=np.float32)
        direction = np.clip(0.85 + random.normal(0, 0.22, 3), 0, 1) + 1e-3
        return np.asarray(direction / direction.max(), dtype=np.float32)


def white_level(pixels: Pixels) -> int:
    """255 for 8 bits; for 16 bits the smallest white level of a camera that holds the picture's highest value."""
    highest = 255 if pixels.dtype == np.uint8 else max(int(pixels.max()), 256)
    return next(level for level in WHITE_LEVELS if highest <= level)


def _middle(height: int, width: int) -> Box:
    tall, wide = min(height, NOISE_WINDOW), min(width, NOISE_WINDOW)
    return Box((height - tall) // 2, (width - wide) // 2, tall, wide)


def _noise(window: Picture) -> float:
    """Standard deviation of the noise (Immerkaer 1996, with the median, so that edges do not count)."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)
    curved = cv2.filter2D(window.mean(axis=2), cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT_101)
    return float(np.median(np.abs(curved)) / (6 * 0.6745))


def _busy_places(pixels: Pixels, white: int) -> npt.NDArray[np.float64]:
    """Probabilities of a thumbnail's places: by edges and by distance from the border's grey."""
    height, width = pixels.shape[:2]
    scale = min(1.0, THUMBNAIL / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    grey = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.float32).mean(axis=2) / white
    edges = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)) / 4
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    busy = cv2.GaussianBlur(edges + np.abs(grey - np.median(border)), (0, 0), 1.0).astype(np.float64)
    busy = np.maximum(busy - np.quantile(busy, 0.2), 0)
    if busy.sum() < 1e-6:
        return np.full(busy.shape, 1 / busy.size)
    return np.asarray((1 - ANYWHERE) * busy / busy.sum() + ANYWHERE / busy.size)
