"""Tiles cover a picture, and their maps come together without a seam."""

from __future__ import annotations

import itertools
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError

from models.imaging.tiling import MAP_SIDE, Tiling, stitched


@pytest.mark.parametrize(
    ("side", "overlap", "width", "height"),
    [(32, 0, 32, 32), (64, 16, 640, 480), (100, 30, 333, 257), (256, 64, 16384, 512), (48, 24, 49, 48)],
)
def test_tiles_cover_the_picture_and_overlap_as_asked(side: int, overlap: int, width: int, height: int) -> None:
    tiling = Tiling(side=side, overlap=overlap, width=width, height=height)
    for starts, length in ((tiling.columns, width), (tiling.rows, height)):
        assert starts[0] == 0
        assert starts[-1] + side == length
        assert all(before + side - after >= overlap for before, after in itertools.pairwise(starts))
    assert tiling.count == len(tiling.places)


def test_no_more_tiles_than_needed() -> None:
    assert Tiling(side=352, overlap=64, width=640, height=640).count == 4
    assert Tiling(side=64, overlap=0, width=128, height=64).count == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"side": 128}, "larger than a picture"), ({"overlap": 40}, "half"), ({"width": 65535, "height": 65535}, "tiles")],
)
def test_a_tiling_that_cannot_be_is_refused(changes: dict[str, int], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Tiling.model_validate({"side": 64, "overlap": 16, "width": 100, "height": 100, **changes})


def smooth(height: int, width: int) -> npt.NDArray[np.float32]:
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.asarray(np.sin(x / 37) + np.cos(y / 29) + x / 100, np.float32)


def cut(whole: npt.NDArray[np.float32], tiling: Tiling, error: float = 0.0) -> list[npt.NDArray[np.float32]]:
    """Tiles of a map at the scale of the camera, each off by another constant."""
    chance = np.random.default_rng(0)
    side = tiling.side
    return [
        whole[place.y : place.y + side, place.x : place.x + side] + np.float32(chance.uniform(-error, error))
        for place in tiling.places
    ]


def test_tiles_of_a_map_give_that_map_again() -> None:
    tiling = Tiling(side=64, overlap=16, width=300, height=200)
    whole = smooth(200, 300)
    for version in (1, 2):
        one = tiling.model_copy(update={"version": version})
        np.testing.assert_allclose(stitched(cut(whole, one), one), whole, atol=1e-5)


def test_shifted_tilings_give_the_same_map() -> None:
    whole = smooth(200, 300)
    first, second = (Tiling(side=side, overlap=side // 4, width=300, height=200) for side in (64, 96))
    np.testing.assert_allclose(stitched(cut(whole, first), first), stitched(cut(whole, second), second), atol=1e-5)


@pytest.mark.parametrize("version", [1, 2])
def test_tiles_that_disagree_leave_no_seam(version: Literal[1, 2]) -> None:
    """Neighbours that are off by up to 1 make no step larger than where they blend spreads it over."""
    tiling = Tiling(side=64, overlap=16, width=300, height=200, version=version)
    found = stitched(cut(np.zeros((200, 300), np.float32), tiling, error=0.5), tiling)
    steps = max(np.abs(np.diff(found, axis=axis)).max() for axis in (0, 1))
    assert 0 < steps < (1.5 / 16 if version == 1 else 1.5 * 1.5 / 8)


def test_what_a_network_sees_beside_the_edge_of_a_tile_is_left_to_the_neighbour() -> None:
    maps = []
    tiling = Tiling(side=64, overlap=16, width=112, height=64, version=2)
    for edge in (slice(60, 64), slice(0, 4)):
        maps.append(np.ones((64, 64), np.float32))
        maps[-1][:, edge] = 9
    assert stitched(maps, tiling).max() == pytest.approx(1, abs=1e-3)
    assert stitched(maps, tiling.model_copy(update={"version": 1})).max() > 1.5


def test_a_long_map_is_reduced_and_keeps_its_peaks() -> None:
    tiling = Tiling(side=512, overlap=0, width=16384, height=512)
    maps = [np.zeros((256, 256), np.float32) for _ in range(tiling.count)]
    maps[17][100, 33] = 7
    found = stitched(maps, tiling)
    assert max(found.shape) <= MAP_SIDE
    y, x = np.unravel_index(found.argmax(), found.shape)
    assert found.max() == 7
    assert x / found.shape[1] * 16384 == pytest.approx(17 * 512 + 66, abs=16)
    assert y / found.shape[0] * 512 == pytest.approx(200, abs=16)
