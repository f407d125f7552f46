"""From a map to what a person sees: fixed greys, regions in pixels of the input, an overlay, a mask."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from models.calibration.conformal import MapScale
from models.imaging.map_picture import (
    GREY_AT_THRESHOLD,
    OVERLAY_BYTES,
    OVERLAY_OPACITY,
    STRIP_PIXELS,
    drawn,
    eight_bit,
    grey_picture,
    mask,
    overlay,
    regions,
)

Picture = npt.NDArray[np.uint8]
SCALE = MapScale(low=1.0, high=5.0, threshold=3.0, rate_promised=0.05)


def quiet_map(side: int = 8) -> npt.NDArray[np.float32]:
    return np.full((side, side), 1.0, np.float32)


def two_spots() -> npt.NDArray[np.float32]:
    """8 x 8 with a spot of 3 wide and 2 high at (2, 1), peak 4.5, and a diagonal pair at (6, 6), peak 4."""
    found = quiet_map()
    found[1:3, 2:5] = 3.5
    found[2, 3] = 4.5
    found[6, 6] = found[7, 7] = 4.0
    return found


def test_a_good_part_is_black_and_the_threshold_is_grey_128() -> None:
    assert not grey_picture(quiet_map(), SCALE, 8, 8).any()
    assert (grey_picture(np.full((4, 4), 3.0, np.float32), SCALE, 4, 4) == GREY_AT_THRESHOLD).all()
    assert (grey_picture(np.full((4, 4), 99.0, np.float32), SCALE, 4, 4) == 255).all()
    assert (grey_picture(np.full((4, 4), -9.0, np.float32), SCALE, 4, 4) == 0).all()


def test_the_scale_is_the_same_for_every_picture() -> None:
    """Nothing is stretched to the picture's own range: a louder place elsewhere changes nothing here."""
    loud = two_spots()
    loud[0, 7] = 40.0
    assert np.array_equal(grey_picture(loud, SCALE, 8, 8)[2:], grey_picture(two_spots(), SCALE, 8, 8)[2:])


@pytest.mark.parametrize("seed", range(20))
def test_what_is_lit_is_at_least_grey_128_and_what_is_not_is_below(seed: int) -> None:
    random = np.random.default_rng(seed)
    low = float(random.uniform(-1, 1)) * 10.0 ** random.integers(-8, 3)
    half = float(random.uniform(0.1, 1)) * 10.0 ** random.integers(-8, 3)
    scale = MapScale(low=low, high=low + 2 * half, threshold=low + half, rate_promised=0.1)
    middle = np.float32(scale.threshold)
    values = [middle, middle]
    for _ in range(3):
        values = [np.nextafter(values[0], np.float32(-np.inf)), *values, np.nextafter(values[-1], np.float32(np.inf))]
    anomaly_map = np.tile(np.array(values, np.float32), (len(values), 1))
    grey = grey_picture(anomaly_map, scale, len(values), len(values))
    assert (grey[anomaly_map > scale.threshold] >= GREY_AT_THRESHOLD).all()
    assert (grey[anomaly_map < scale.threshold] <= GREY_AT_THRESHOLD).all()


@pytest.mark.parametrize(("width", "height"), [(8, 8), (16, 16), (40, 24), (13, 57), (640, 480)])
def test_pictures_have_the_size_of_the_input(width: int, height: int) -> None:
    assert grey_picture(two_spots(), SCALE, width, height).shape == (height, width)
    assert mask(two_spots(), SCALE, width, height).shape == (height, width)


def test_a_good_part_has_no_region() -> None:
    assert regions(quiet_map(), SCALE, 100, 100) == []
    assert regions(np.full((8, 8), 3.0, np.float32), SCALE, 100, 100) == []  # at the threshold is not above it


def test_regions_come_with_the_highest_peak_first() -> None:
    first, second = regions(two_spots(), SCALE, 8, 8)
    assert first.box == (2, 1, 3, 2)
    assert (first.area_px, first.area_share) == (6, 6 / 64)
    assert first.peak == 4.5
    assert first.mean == pytest.approx((5 * 3.5 + 4.5) / 6)
    assert second.box == (6, 6, 2, 2)
    assert (second.area_px, second.peak) == (2, 4.0)


def test_boxes_are_in_pixels_of_an_input_that_is_not_square() -> None:
    first, second = regions(two_spots(), SCALE, 40, 24)
    assert first.box == (10, 3, 15, 6)
    assert first.area_px == 6 * 5 * 3
    assert first.area_share == 6 / 64
    assert second.box == (30, 18, 10, 6)


@pytest.mark.parametrize(("width", "height"), [(8, 8), (13, 57), (57, 13), (100, 9), (640, 480)])
def test_every_box_lies_in_the_image_and_together_they_hold_the_mask(width: int, height: int) -> None:
    anomaly_map = np.random.default_rng(width).gamma(1, 1.5, (16, 16)).astype(np.float32)
    covered = np.zeros((height, width), bool)
    found = regions(anomaly_map, SCALE, width, height)
    for x, y, w, h in (region.box for region in found):
        assert 0 <= x < x + w <= width
        assert 0 <= y < y + h <= height
        covered[y : y + h, x : x + w] = True
    assert found
    assert covered[mask(anomaly_map, SCALE, width, height) > 0].all()


def test_the_mask_is_255_where_the_map_is_lit() -> None:
    assert np.array_equal(mask(two_spots(), SCALE, 8, 8), np.where(two_spots() > 3, 255, 0))


def test_the_overlay_leaves_quiet_pixels_alone() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    grey = grey_picture(two_spots(), SCALE, 48, 64)
    drawn = overlay(picture, grey)
    assert np.array_equal(drawn[grey == 0], picture[grey == 0])
    assert (drawn[grey > GREY_AT_THRESHOLD] != picture[grey > GREY_AT_THRESHOLD]).any(axis=1).mean() > 0.9


def test_a_quiet_map_gives_the_picture_itself() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    before = picture.copy()
    assert np.array_equal(overlay(picture, np.zeros((20, 30), np.uint8)), before)
    overlay(picture, np.full((20, 30), 255, np.uint8))
    assert np.array_equal(picture, before)


def test_the_outline_is_drawn_around_what_is_lit() -> None:
    grey = np.zeros((40, 40), np.uint8)
    grey[10:20, 10:20] = 200
    drawn = overlay(np.zeros((40, 40, 3), np.uint8), grey)
    assert drawn[10, 15].tolist() == [255, 64, 64]
    assert drawn[15, 15].tolist() != [255, 64, 64]


@pytest.mark.parametrize("side", [40, 400, 1000])
def test_an_outline_changes_no_pixel_of_what_is_lit_and_some_around_it(side: int) -> None:
    picture = np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)
    grey = np.zeros((side, side), np.uint8)
    cv2.ellipse(grey, (side // 2, side // 3), (side // 5, side // 9), 30, 0, 360, (200,), -1)
    grey[side - 3 :, side - 3 :] = 255
    shown = drawn(picture, grey, "outline")
    changed = (shown != picture).any(axis=2)
    assert not changed[grey >= GREY_AT_THRESHOLD].any()
    reach = 2 * max(1, round(side / 200)) + 5
    near = cv2.dilate((grey > 0).astype(np.uint8), np.ones((reach, reach), np.uint8)) > (grey > 0)
    assert changed[near].mean() > 0.5
    assert changed.mean() < 0.3
    assert [255, 64, 64] in shown[changed].tolist()


def test_an_outline_of_a_quiet_map_is_the_picture_itself() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    assert np.array_equal(drawn(picture, np.full((20, 30), GREY_AT_THRESHOLD - 1, np.uint8), "outline"), picture)


def test_sixteen_bit_pictures_are_shown_by_the_products_white_level() -> None:
    pixels = np.array([[[0, 2048, 65535]]], np.uint16)
    assert eight_bit(pixels, 4095).tolist() == [[[0, 127, 255]]]
    eight = np.array([[[0, 128, 255]]], np.uint8)
    assert np.array_equal(eight_bit(eight, 4095), eight)


def blended_whole(picture: npt.NDArray[np.uint8], grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The overlay's blending in one piece, without the outline."""
    colours = cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    opacity = (grey.astype(np.float32) / 255 * OVERLAY_OPACITY)[:, :, None]
    return np.asarray(np.rint(picture * (1 - opacity) + colours * opacity), dtype=np.uint8)


def test_blending_in_strips_gives_what_blending_at_once_does() -> None:
    random = np.random.default_rng(3)
    picture = random.integers(0, 256, (700, 900, 3), dtype=np.uint8)  # three strips
    grey = random.integers(0, GREY_AT_THRESHOLD, (700, 900), dtype=np.uint8)  # nothing is lit: no outline
    assert np.array_equal(overlay(picture, grey), blended_whole(picture, grey))


@pytest.mark.parametrize("draw", [overlay, partial(drawn, style="outline")])
def test_an_overlay_holds_a_few_bytes_a_pixel(draw: Callable[[Picture, Picture], Picture]) -> None:
    """numpy's memory is traced; OpenCV's outline takes one or two bytes a pixel more, which OVERLAY_BYTES counts."""
    picture = np.zeros((2000, 3000, 3), np.uint8)
    grey = np.zeros((2000, 3000), np.uint8)
    grey[500:900, 500:900] = 200
    tracemalloc.start()
    try:
        draw(picture, grey)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= (OVERLAY_BYTES - 1) * grey.size + 48 * STRIP_PIXELS


def test_a_sixteen_bit_picture_is_shown_without_a_large_intermediate() -> None:
    pixels = np.random.default_rng(4).integers(0, 65536, (1500, 2000, 3), dtype=np.uint16)
    tracemalloc.start()
    try:
        shown = eight_bit(pixels, 4095)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert np.array_equal(shown, np.clip(pixels.astype(np.float32) * (255 / 4095), 0, 255).astype(np.uint8))
    assert peak <= pixels.size + 48 * STRIP_PIXELS
