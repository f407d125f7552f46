"""Makes the views of a large TIFF while it is read, so that the picture itself is never held.

Only what a view needs is kept: the sums of a shrunk picture, or the rows of the tiles that are being cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

from models.imaging.area import AreaShrink
from models.imaging.layouts import NO_EXTRA, PREMULTIPLIED, UNSPECIFIED
from models.imaging.levels import grid_step, white_of
from models.imaging.preprocess import Prepared, Preprocessing, as_input, prepare
from models.imaging.samples import Header, Pixels
from models.imaging.tiff.header import TiffHeader
from models.imaging.tiff.picture import rgb_bands
from models.imaging.tiling import Tiling

STREAMED_PIXELS = 2**22  # of a picture: smaller ones are decoded as a whole, to the same bits as ever


class Streamed(NamedTuple):
    """The views, and the pixels (h, w, 3) of a regular grid that the picture's levels are measured on."""

    views: tuple[Prepared, ...]
    seen: Pixels


def can_stream(header: Header, preprocessing: Preprocessing) -> bool:
    """Whether the views of that file can be made while it is read: a large TIFF, upright and without opacity."""
    if not isinstance(header, TiffHeader) or header.width * header.height < STREAMED_PIXELS:
        return False
    if header.orientation != 1 or header.facts.extra not in {NO_EXTRA, UNSPECIFIED, PREMULTIPLIED}:
        return False
    tiles = preprocessing.tiles
    if tiles is not None:
        return (header.width, header.height) == (tiles.width, tiles.height)
    longest, shortest = max(header.width, header.height), min(header.width, header.height)
    return {
        "stretch": shortest >= preprocessing.image_size,
        "letterbox": longest >= preprocessing.image_size,
    }.get(preprocessing.resize, False)


def streamed(header: Header, data: bytes, preprocessing: Preprocessing) -> Streamed:
    """The views of a file that `can_stream`. Raises ImageError."""
    assert isinstance(header, TiffHeader)
    grid = _Grid(header.width, header.height)
    bands = grid.watching(rgb for rgb, _ in rgb_bands(header, data))
    if preprocessing.tiles is not None:
        views = tuple(prepare(tile, preprocessing) for tile in tiles_of_bands(bands, preprocessing.tiles))
    else:
        size = preprocessing.image_size
        shrink = letterboxed if preprocessing.resize == "letterbox" else stretched
        small = shrink(bands, header.width, header.height, size)
        views = (as_input(small, white_of(small, preprocessing.sixteen_bit_white)),)
    return Streamed(views, grid.pixels())


def stretched(bands: Iterator[Pixels], width: int, height: int, size: int) -> Pixels:
    """The picture averaged to (size, size, 3)."""
    shrink = AreaShrink(width, height, size)
    for band in bands:
        shrink.add(band)
    return shrink.result()


def letterboxed(bands: Iterator[Pixels], width: int, height: int, size: int) -> Pixels:
    """The square of its longer side, edge pixels repeated, averaged to (size, size, 3)."""
    side = max(width, height)
    left, top = (side - width) // 2, (side - height) // 2
    shrink = AreaShrink(side, side, size)
    last: Pixels | None = None
    for band in bands:
        wide = cv2.copyMakeBorder(band, 0, 0, left, side - width - left, cv2.BORDER_REPLICATE)
        if last is None:
            shrink.add_copies(wide[:1], top)  # type: ignore[arg-type]
        shrink.add(wide)  # type: ignore[arg-type]
        last = wide[-1:]  # type: ignore[assignment]
    assert last is not None
    shrink.add_copies(last, side - height - top)
    return shrink.result()


def tiles_of_bands(bands: Iterator[Pixels], tiling: Tiling) -> Iterator[Pixels]:
    """The tiles in the order of `Tiling.places`; rows are held from the top of the next tiles on."""
    rows: Pixels
    held: list[Pixels] = []
    begin = end = 0  # rows of the picture that are held
    for top in tiling.rows:
        while end < top + tiling.side:
            band = next(bands)
            held.append(band)
            end += len(band)
        while begin + len(held[0]) <= top:
            begin += len(held.pop(0))
        rows = np.concatenate(held)[top - begin :][: tiling.side]  # type: ignore[assignment]
        for left in tiling.columns:
            yield rows[:, left : left + tiling.side]
    for _ in bands:  # what is damaged below the last tile is damaged
        pass


class _Grid:
    """The pixels that `measure_levels` would look at, taken from the bands that pass by."""

    def __init__(self, width: int, height: int) -> None:
        self._step = grid_step(width, height)
        self._taken: list[Pixels] = []
        self._rows = 0

    def watching(self, bands: Iterator[Pixels]) -> Iterator[Pixels]:
        """The same bands."""
        for band in bands:
            self._taken.append(band[-self._rows % self._step :: self._step, :: self._step].copy())
            self._rows += len(band)
            yield band

    def pixels(self) -> Pixels:
        """(h, w, 3)."""
        seen: Pixels = np.concatenate(self._taken)  # type: ignore[assignment]
        return seen
