"""A picture whose levels lie far outside those of training is refused, and the ordinary spread of pictures is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError

from models.imaging.decode import ImageError
from models.imaging.levels import BRIGHTEST, LevelRange, check_levels, collect_levels, grid_step, measure_levels

RANDOM = np.random.default_rng(9)


def picture(white: int, bright: float = 0.8, kind: Any = np.uint16) -> npt.NDArray[Any]:
    shares = np.clip(RANDOM.normal(0.35, 0.1, (60, 80, 3)), 0, 1)
    shares[:4, :4] = 1
    return (shares * bright * white).astype(kind)


def trained_on(pictures: list[npt.NDArray[Any]], white: int) -> LevelRange:
    return collect_levels(measure_levels(one).shares(white) for one in pictures)


TWELVE = trained_on([picture(4095, bright) for bright in (0.7, 0.8, 0.95)], 4095)
MOVED = trained_on([picture(4095, bright) * 16 for bright in (0.7, 0.8, 0.95)], 65535)


def refused(pixels: npt.NDArray[Any], white: int, trained: LevelRange) -> str:
    with pytest.raises(ImageError) as caught:
        check_levels(pixels, white, trained)
    assert caught.value.code == "image_level_unexpected"
    return caught.value.detail


def test_twelve_bits_moved_up_are_refused_by_a_product_trained_on_live_pictures() -> None:
    assert "times above" in refused(picture(4095) * 16, 4095, TWELVE)


def test_live_pictures_are_refused_by_a_product_trained_on_moved_ones() -> None:
    assert "times below" in refused(picture(4095), 65535, MOVED)


@pytest.mark.parametrize("factor", [4, 16, 64])
def test_every_distance_by_which_bits_are_moved_is_noticed(factor: int) -> None:
    white = 65536 // factor - 1
    trained = trained_on([picture(white)], white)
    refused(picture(white) * np.uint16(factor), white, trained)


@pytest.mark.parametrize("bright", [0.4, 0.7, 1.0])
def test_ordinary_pictures_pass(bright: float) -> None:
    check_levels(picture(4095, bright), 4095, TWELVE)


def test_an_eight_bit_picture_of_the_same_brightness_passes() -> None:
    check_levels(picture(255, kind=np.uint8), 4095, TWELVE)


def test_a_black_picture_is_refused_also_with_a_bright_inscription() -> None:
    black = np.zeros((200, 200, 3), np.uint8)
    refused(black, 4095, TWELVE)
    black[:20, :20] = 255
    assert "mean level" in refused(black, 4095, TWELVE)


def test_black_training_pictures_and_black_ones_are_equal() -> None:
    dark = trained_on([np.full((20, 20, 3), 1, np.uint8)], 255)
    check_levels(np.full((20, 20, 3), 4, np.uint8), 65535, dark)


def test_the_range_goes_through_json_and_must_be_in_order() -> None:
    assert LevelRange.model_validate_json(TWELVE.model_dump_json()) == TWELVE
    with pytest.raises(ValidationError, match="lowest"):
        LevelRange(mean_low=0.5, mean_high=0.4, brightest_low=0, brightest_high=1)
    with pytest.raises(ValueError, match="at least one picture"):
        collect_levels([])


@pytest.mark.parametrize("highest", [1, 2, 7, 200, 256])
@pytest.mark.parametrize("shape", [(8, 8, 3), (33, 61, 3), (700, 900, 3)])
def test_levels_counted_by_value_are_those_of_numpy_to_the_bit(highest: int, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(highest).integers(0, highest, shape, dtype=np.uint8)
    step = grid_step(shape[1], shape[0])
    seen = pixels[::step, ::step]
    assert measure_levels(pixels) == (float(seen.mean()), float(np.percentile(seen, BRIGHTEST)))
