"""What lies outside of the regions changes nothing, bit for bit."""

from __future__ import annotations

import json
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from models.imaging.errors import ImageError
from models.imaging.limits import ImageLimits
from models.imaging.region_files import polygons_mask, region_mask
from models.imaging.regions import Regions, RegionsError, masked_map


def noise(seed: int, height: int = 40, width: int = 60) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def regions() -> Regions:
    """All but a rectangle at the right edge."""
    kept = np.ones((40, 60), np.bool_)
    kept[10:30, 40:] = False
    return Regions(kept)


def test_ignored_pixels_take_the_value_of_the_nearest_one_inside(regions: Regions) -> None:
    pixels = noise(0)
    filled = regions.filled(pixels)
    assert (filled[regions.kept] == pixels[regions.kept]).all()
    assert (filled[12, 42] == pixels[9, 42]).all() or (filled[12, 42] == pixels[12, 39]).all()
    assert (filled[20, 41] == pixels[20, 39]).all()
    assert (filled[11, 59] == pixels[9, 59]).all()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_what_happens_in_an_ignored_place_changes_no_bit(regions: Regions, kind: type[Any]) -> None:
    good = noise(0).astype(kind) * (1 if kind is np.uint8 else 257)
    bad = good.copy()
    bad[10:30, 40:] = 0
    assert (regions.filled(good) == regions.filled(bad)).all()
    bad[5, 5] ^= 255
    assert (regions.filled(good) != regions.filled(bad)).any()


def test_the_picture_itself_is_left_as_it_is(regions: Regions) -> None:
    pixels = noise(1)
    before = pixels.copy()
    regions.filled(pixels)
    assert (pixels == before).all()


def test_a_picture_of_the_same_shape_takes_the_mask_at_its_size(regions: Regions) -> None:
    good = noise(2, 80, 120)
    bad = good.copy()
    bad[20:60, 80:] = 255
    assert (regions.filled(good) == regions.filled(bad)).all()
    assert (regions.filled(noise(2, 20, 30))[2:8, 2:18] == noise(2, 20, 30)[2:8, 2:18]).all()


@pytest.mark.parametrize("shape", [(40, 50), (50, 60), (60, 40)])
def test_a_picture_of_another_shape_is_refused(regions: Regions, shape: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match=f"{shape[1]} x {shape[0]}.*60 x 40") as raised:
        regions.filled(noise(0, *shape))
    assert raised.value.code == "image_size_unexpected"


def test_a_mask_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(RegionsError, match="nothing"):
        Regions(np.zeros((4, 4), np.bool_))


def test_a_map_is_quiet_outside_and_its_peak_is_of_what_lies_inside(regions: Regions) -> None:
    values = np.random.default_rng(0).random((20, 20)).astype(np.float32)
    loud = values.copy()
    loud[6:14, 15:] = 100
    quiet, peak = masked_map(values, regions)
    assert (masked_map(loud, regions)[0] == quiet).all()
    assert masked_map(loud, regions)[1] == peak == values[regions.on_map(20, 20)].max()
    assert quiet.max() == peak


def test_a_mask_comes_back_from_its_file(regions: Regions) -> None:
    again = Regions.from_png(regions.as_png())
    assert (again.kept == regions.kept).all()
    assert again.sha256 == regions.sha256
    assert Regions(~regions.kept).sha256 != regions.sha256


def test_polygons_are_drawn_in_pixels() -> None:
    document = {"width": 20, "height": 10, "polygons": [[[2, 1], [5, 1], [5, 4], [2, 4]]]}
    found = polygons_mask(document, ImageLimits())
    expected = np.zeros((10, 20), np.uint8)
    cv2.rectangle(expected, (2, 1), (5, 4), (1,), -1)
    assert (found == expected.astype(np.bool_)).all()


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"width": 20, "height": 10, "polygons": []},
        {"width": 0, "height": 10, "polygons": [[[0, 0], [1, 0], [1, 1]]]},
        {"width": 20, "height": 10, "polygons": [[[0, 0], [1, 0]]]},
        {"width": 20, "height": 10, "polygons": [[[0, 0], [1, 0], [1]]]},
        {"width": 20, "height": 10, "polygons": [[[0, 0], [1, 0], [1, float("nan")]]]},
        {"width": 20, "height": 10, "polygons": [[["a", 0], [1, 0], [1, 1]]]},
        {"width": 20, "height": 10, "polygons": [[["1", "0"], [1, 0], [1, 1]]]},
        {"width": 20, "height": 10, "polygons": [[[True, 0], [1, 0], [1, 1]]]},
        {"width": 20, "height": 10, "polygons": [[[10**400, 0], [1, 0], [1, 1]]]},
        {"width": 20, "height": 10, "polygons": [[[20, 0], [30, 0], [30, 9]]]},
        {"width": 20, "height": 10, "polygons": [[[-9, -9], [-1, -9], [-1, 9]]]},
        {"width": True, "height": 10, "polygons": [[[0, 0], [1, 0], [1, 1]]]},
        {"width": 20, "height": 10, "polygons": [[[0, 0], [9, 0], [9, 9]]], "holes": []},
    ],
)
def test_polygons_that_are_none_are_refused(document: Any) -> None:
    with pytest.raises(RegionsError, match="polygon"):
        polygons_mask(document, ImageLimits())


def test_a_file_of_regions_is_told_by_its_content() -> None:
    document = {"width": 20, "height": 10, "polygons": [[[2, 1], [5, 1], [5, 4], [2, 4]]]}
    drawn = polygons_mask(document, ImageLimits())
    for text in (f"  {json.dumps(document)}", f"\ufeff{json.dumps(document)}"):
        assert (region_mask(text.encode(), ImageLimits()) == drawn).all()
    assert (region_mask(Regions(drawn).as_png(), ImageLimits()) == drawn).all()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"width": 20', "no JSON"),
        (b"[" * 2000, "no JSON"),
        (b"[1, 2]", "polygons are"),
        (b'{"width": 9999, "height": 9999, "polygons": [[[0, 0], [9, 0], [9, 9]]]}', "pixels"),
        (b"{" + b" " * (1 << 20), "of polygons; at most"),
    ],
)
def test_json_that_is_no_region_is_refused_in_words(data: bytes, words: str) -> None:
    with pytest.raises(RegionsError, match=words):
        region_mask(data, ImageLimits())
