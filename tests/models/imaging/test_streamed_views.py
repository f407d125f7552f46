"""The views of a picture that is read in bands are those of the picture as a whole."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.harness.tiff_writer import TiffLayout, write_tiff
from models.imaging import picture_views, streamed_views
from models.imaging.area import AreaShrink
from models.imaging.decode import ImageError
from models.imaging.levels import LevelRange
from models.imaging.picture_views import PictureViews, PreparedImage
from models.imaging.preprocess import Preprocessing, Resize
from models.imaging.tiff import read
from models.imaging.tiling import Tiling

SIZE = 64
LEVEL = 1.01 / 255  # a sum at the middle between two grey levels may go either way


def picture(width: int, height: int, bits: int = 8) -> npt.NDArray[Any]:
    rough = np.random.default_rng(5).random((height // 4, width // 4, 3)).astype(np.float32)
    smooth = cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    return np.asarray((smooth * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16))


def seen(data: bytes, views: PictureViews, monkeypatch: pytest.MonkeyPatch, *, streamed: bool) -> PreparedImage:
    with monkeypatch.context() as patched:
        for module in (streamed_views, picture_views):
            patched.setattr(module, "STREAMED_PIXELS", 0 if streamed else 2**40)
        patched.setattr(read, "BAND_BYTES", 5000 if streamed else 2**40)
        return views.prepare_file(data)


@pytest.mark.parametrize("resize", ["stretch", "letterbox", "tiles", "centre"])
@pytest.mark.parametrize(("width", "height", "bits"), [(333, 257, 8), (200, 450, 16), (128, 192, 8)])
def test_views_are_equal_within_a_grey_level(
    resize: Resize, width: int, height: int, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiles = Tiling(side=70, overlap=20, width=width, height=height) if resize == "tiles" else None
    views = PictureViews(Preprocessing(image_size=SIZE, resize=resize, tiles=tiles, version=2))
    data = write_tiff(picture(width, height, bits), TiffLayout(photometric=2, bits=bits, compression="Deflate"))
    whole = seen(data, views, monkeypatch, streamed=False)
    banded = seen(data, views, monkeypatch, streamed=True)
    assert (banded.width, banded.height) == (whole.width, whole.height)
    for one, other in zip(banded.views, whole.views, strict=True):
        apart = np.abs(one - other)
        assert apart.max() <= (0 if resize in {"tiles", "centre"} else LEVEL)
        assert (apart > 0).mean() < 0.03  # at 2 x 3 pixels to one, every sixth sum is near such a middle


def test_a_letterbox_of_pixels_is_made_without_its_square(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = picture(640, 96)
    views = PictureViews(Preprocessing(image_size=SIZE, resize="letterbox", version=2))
    whole = views.prepare(pixels).views[0]
    monkeypatch.setattr(picture_views, "STREAMED_PIXELS", 0)
    monkeypatch.setattr(picture_views, "squared", None)
    assert np.abs(views.prepare(pixels).views[0] - whole).max() <= LEVEL


def test_levels_are_looked_at_in_every_band(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = picture(200, 160) // 8
    data = write_tiff(pixels, TiffLayout(photometric=2))
    trained = LevelRange(mean_low=0.4, mean_high=0.6, brightest_low=0.9, brightest_high=1)
    views = PictureViews(Preprocessing(image_size=SIZE, version=2), levels=trained)
    texts = []
    for streamed in (False, True):
        with pytest.raises(ImageError) as caught:
            seen(data, views, monkeypatch, streamed=streamed)
        assert caught.value.code == "image_level_unexpected"
        texts.append(caught.value.detail)
    assert texts[0] == texts[1]


def test_damage_below_the_last_row_that_is_needed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    tiles = Tiling(side=64, overlap=0, width=128, height=128)
    views = PictureViews(Preprocessing(image_size=SIZE, resize="tiles", tiles=tiles, version=2))
    data = bytearray(write_tiff(picture(128, 128), TiffLayout(photometric=2, compression="Deflate")))
    data[-3] ^= 0xFF  # the checksum of the last strip
    for streamed in (False, True):
        with pytest.raises(ImageError) as caught:
            seen(bytes(data), views, monkeypatch, streamed=streamed)
        assert caught.value.code == "image_damaged"


def test_a_picture_of_another_size_than_the_tiles_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    tiles = Tiling(side=64, overlap=0, width=128, height=64)
    views = PictureViews(Preprocessing(image_size=SIZE, resize="tiles", tiles=tiles, version=2))
    with pytest.raises(ImageError) as caught:
        seen(write_tiff(picture(128, 128), TiffLayout(photometric=2)), views, monkeypatch, streamed=True)
    assert caught.value.code == "image_size_unexpected"


def test_nothing_is_enlarged_by_averaging() -> None:
    with pytest.raises(ValueError, match="averaged"):
        AreaShrink(60, 100, 64)
