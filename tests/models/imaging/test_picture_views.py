"""Each geometry shows the network what it says, and brings the map back onto the picture."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from models.imaging.errors import ImageError
from models.imaging.picture_views import PictureViews
from models.imaging.preprocess import Preprocessing, Resize
from models.imaging.tiling import Tiling

SIZE = 64


def with_a_spot(width: int, height: int, x: int, y: int) -> npt.NDArray[np.uint8]:
    picture = np.full((height, width, 3), 40, np.uint8)
    cv2.circle(picture, (x, y), 6, (240, 240, 240), -1)
    return picture


def views(resize: Resize, tiles: Tiling | None = None) -> PictureViews:
    return PictureViews(Preprocessing(image_size=SIZE, resize=resize, tiles=tiles, version=2))


@pytest.mark.parametrize("resize", ["stretch", "letterbox", "centre", "tiles"])
@pytest.mark.parametrize(("width", "height", "x", "y"), [(200, 100, 130, 30), (100, 200, 30, 130), (128, 128, 90, 40)])
def test_a_spot_in_the_view_lies_at_its_place_on_the_map(
    resize: Resize, width: int, height: int, x: int, y: int
) -> None:
    tiles = Tiling(side=80, overlap=20, width=width, height=height) if resize == "tiles" else None
    seen = views(resize, tiles)
    prepared = seen.prepare(with_a_spot(width, height, x, y))
    assert len(prepared.views) == seen.count
    assert all(view.shape == (3, SIZE, SIZE) for view in prepared.views)
    found = seen.on_picture([view[0] for view in prepared.views], width, height)
    places = np.argwhere(found > 0.5).mean(axis=0)
    assert places[1] / found.shape[1] * width == pytest.approx(x, abs=4)
    assert places[0] / found.shape[0] * height == pytest.approx(y, abs=4)


def test_a_letterbox_keeps_the_shape_and_has_no_edge_of_its_own() -> None:
    picture = with_a_spot(200, 100, 130, 50)
    (view,) = views("letterbox").prepare(picture).views
    lit = np.argwhere(view[0] > 0.5)
    height, width = lit.max(axis=0) - lit.min(axis=0)
    assert abs(height - width) <= 1
    (flat,) = views("letterbox").prepare(np.full((100, 200, 3), 77, np.uint8)).views
    assert flat.min() == flat.max()


def test_a_letterbox_of_a_very_flat_picture_is_still_one() -> None:
    seen = views("letterbox")
    prepared = seen.prepare(np.full((8, 640, 3), 77, np.uint8))
    assert seen.on_picture([prepared.views[0][0]], 640, 8).shape == (SIZE, SIZE)


def test_tiles_are_for_pictures_of_one_size() -> None:
    seen = views("tiles", Tiling(side=64, overlap=0, width=128, height=64))
    for height, width in ((64, 64), (32, 128), (65, 128)):
        with pytest.raises(ImageError, match="128 x 64") as raised:
            seen.prepare(np.zeros((height, width, 3), np.uint8))
        assert raised.value.code == "image_size_unexpected"


def test_tiles_go_with_no_other_geometry() -> None:
    for resize, tiles in (("tiles", None), ("stretch", Tiling(side=64, overlap=0, width=64, height=64))):
        with pytest.raises(ValueError, match="tiles"):
            Preprocessing.model_validate({"resize": resize, "tiles": tiles})
