"""Painted defects side by side on one picture, for eyes: a row for each good picture, a column for each kind."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from models.imaging.decode import Pixels
from models.imaging.map_picture import eight_bit
from trainer.painted.paint import ALL_KINDS, Painted, paint
from trainer.painted.scene import CannotPaint, white_level

Cell = npt.NDArray[np.uint8]
CAPTION = 14  # pixels
OUTLINE = (255, 40, 40)


def contact_sheet(pictures: Sequence[Pixels], seed: int, cell: int = 160) -> Cell:
    """RGB picture: each good picture painted in every kind; below each, the same with its mask outlined.

    `cell` is the side of a picture in pixels. Captions say kind, size in % of the picture and contrast in % of white.
    """
    rows = []
    for number, pixels in enumerate(pictures):
        others = [other for other in pictures if other is not pixels]
        cells = [
            _cell(pixels, kind, np.random.default_rng([seed, number, place]), others, cell)
            for place, kind in enumerate(ALL_KINDS)
        ]
        rows.append(np.concatenate(cells, axis=1))
    return np.concatenate(rows, axis=0)


def _cell(pixels: Pixels, kind: str, random: np.random.Generator, others: Sequence[Pixels], side: int) -> Cell:
    try:
        painted = paint(pixels, random, kind, others=others)
    except CannotPaint:
        blank = np.zeros((2 * side + CAPTION, side, 3), np.uint8)
        return _captioned(blank, f"{kind}: cannot")
    words = f"{kind} {100 * painted.size_share:.1f}% {100 * painted.contrast:.0f}%"
    plain, outlined = _pair(painted, white_level(pixels), side)
    caption = np.zeros((CAPTION, side, 3), np.uint8)
    return _captioned(np.concatenate([caption, plain, outlined]), words)


def _pair(painted: Painted, white: int, side: int) -> tuple[Cell, Cell]:
    """The painted picture, and the same with the mask's outline, each (side, side, 3)."""
    height, width = painted.mask.shape
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    small = np.asarray(cv2.resize(eight_bit(painted.pixels, white), size, interpolation=way), np.uint8)
    mask = cv2.resize(painted.mask.astype(np.uint8) * 255, size, interpolation=way) > 64
    edges, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outlined = small.copy()
    cv2.drawContours(outlined, edges, -1, OUTLINE, 1)
    return _padded(small, side), _padded(outlined, side)


def _padded(picture: Cell, side: int) -> Cell:
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, side - height), (0, side - width), (0, 0)))


def _captioned(picture: Cell, words: str) -> Cell:
    cv2.putText(picture, words, (2, CAPTION - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (255, 255, 255), 1, cv2.LINE_AA)
    return picture
