"""Cuts a picture into overlapping tiles, and puts the maps of the tiles together without a seam."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

Map = npt.NDArray[np.float32]
MOST_TILES = 4096
MARGIN = 0.25  # of the overlap, left to the neighbour
MAP_SIDE = 1024  # of a stitched map at most: a longer one is reduced, each value to the highest of those it stands for


class Place(NamedTuple):
    """Upper left corner of a tile in pixels of the camera."""

    x: int
    y: int


class Tiling(BaseModel):
    """Tiles of `side` pixels of the camera that overlap by `overlap` at least, over pictures of `width` x `height`.

    Tiles lie evenly, the outermost ones along the edges, so that none reaches beyond the picture. A network sees less
    beside the edge of a tile than in its middle, and calls good places strange there. `version` 2 leaves a margin of
    each tile to its neighbour, and takes the picture's score off the map that is put together; version 1, of earlier
    artifacts, only lowers the weight towards the edge, and takes the highest score of any tile.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    side: int = Field(ge=32, le=8192)
    overlap: int = Field(ge=0)
    width: int = Field(ge=32, le=65535)
    height: int = Field(ge=32, le=65535)
    version: Literal[1, 2] = 1

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.side > min(self.width, self.height):
            raise ValueError(
                f"a tile of {self.side} pixels is larger than a picture of {self.width} x {self.height}: take smaller "
                "tiles, or none"
            )
        if 2 * self.overlap > self.side:
            raise ValueError(f"an overlap of {self.overlap} is more than half of a tile of {self.side}")
        if self.count > MOST_TILES:
            raise ValueError(f"{self.count} tiles for one picture; {MOST_TILES} at most: take larger ones")
        return self

    @property
    def columns(self) -> list[int]:
        """Left edges."""
        return _starts(self.width, self.side, self.overlap)

    @property
    def rows(self) -> list[int]:
        """Upper edges."""
        return _starts(self.height, self.side, self.overlap)

    @property
    def count(self) -> int:
        """Tiles of one picture."""
        return len(self.columns) * len(self.rows)

    @property
    def places(self) -> list[Place]:
        """All tiles, row by row."""
        return [Place(x, y) for y in self.rows for x in self.columns]

    def nearest(self, x: float, y: float) -> int:
        """The number of the tile whose middle is nearest to a place in pixels of the camera."""
        middle = self.side / 2
        apart = [(place.x + middle - x) ** 2 + (place.y + middle - y) ** 2 for place in self.places]
        return int(np.argmin(apart))


def _starts(length: int, side: int, overlap: int) -> list[int]:
    count = 1 + -(-(length - side) // (side - overlap))
    return [round(place) for place in np.linspace(0, length - side, count)]


def stitched(maps: Sequence[Map], tiling: Tiling) -> Map:
    """The maps (S, S) of the tiles, in the order of `places` -> the map of the picture, MAP_SIDE at most.

    Where tiles overlap their values are averaged, each the less the nearer it lies to the edge of its tile: so no tile
    ends suddenly. See Tiling for what the version changes.
    """
    size = maps[0].shape[0]
    scale = size / tiling.side
    width, height = (max(size, round(side * scale)) for side in (tiling.width, tiling.height))
    total, weight = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    across, down = tiling.columns, tiling.rows
    for number, one in enumerate(maps):
        column, row = number % len(across), number // len(across)
        window = _window(size, row, len(down), scale * tiling.overlap, tiling.version)[:, None]
        window = window * _window(size, column, len(across), scale * tiling.overlap, tiling.version)[None, :]
        x, y = min(round(across[column] * scale), width - size), min(round(down[row] * scale), height - size)
        total[y : y + size, x : x + size] += one * window
        weight[y : y + size, x : x + size] += window
    np.divide(total, weight, out=total)
    del weight  # of a large picture both take as much as its views
    return _reduced(total)


@lru_cache(maxsize=256)
def _window(size: int, number: int, count: int, overlap: float, version: int) -> Map:
    """(size,) weights along one side of a tile: rising over the overlap, 1 along the edge of the picture."""
    places = np.arange(size, dtype=np.float32) + 0.5
    rise = max(overlap, 1e-3)
    window = np.ones(size, np.float32)
    for inner, from_edge in ((number > 0, places), (number < count - 1, places[::-1])):
        if inner:
            window = np.minimum(window, _rise(from_edge / rise, version))
    return np.maximum(window, np.float32(1e-3 if version == 1 else 1e-6))


def _rise(share: Map, version: int) -> Map:
    """The weight at a share of the overlap: straight, or none in the margins of both tiles and smooth between them."""
    if version == 1:
        return share
    between = np.clip((share - MARGIN) / (1 - 2 * MARGIN), 0, 1)
    smooth: Map = (between**2 * (3 - 2 * between)).astype(np.float32)
    return smooth


def _reduced(whole: Map) -> Map:
    """The highest of each block, where the map is larger than MAP_SIDE."""
    factor = -(-max(whole.shape) // MAP_SIDE)
    if factor == 1:
        return whole
    height, width = (-(-side // factor) * factor for side in whole.shape)
    extra = ((0, height - whole.shape[0]), (0, width - whole.shape[1]))
    blocks = np.pad(whole, extra, mode="edge").reshape(height // factor, factor, width // factor, factor)
    reduced: Map = blocks.max(axis=(1, 3))
    return reduced
