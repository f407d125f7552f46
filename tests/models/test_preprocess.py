"""Pixels to input: sizes, depths and the white level, the same for trainer and service."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from models.preprocess import Preprocessing, WhiteLevel, prepare


def test_the_input_is_contiguous_float32_with_the_colours_first() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 90, 3), dtype=np.uint8)
    image = prepare(pixels, Preprocessing(image_size=64))
    assert image.shape == (3, 64, 64)
    assert image.dtype == np.float32
    assert image.flags.c_contiguous
    assert 0 <= image.min() < image.max() <= 1


def test_an_image_of_the_right_size_is_only_scaled() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    expected = (pixels.transpose(2, 0, 1) / 255).astype(np.float32)
    assert np.allclose(prepare(pixels, Preprocessing(image_size=32)), expected, atol=1e-7)


def test_shrinking_averages_whole_areas() -> None:
    pixels = np.zeros((128, 128, 3), np.uint8)
    pixels[::4, ::4] = 240  # one of sixteen, which reading off single places would miss
    assert np.allclose(prepare(pixels, Preprocessing(image_size=32)), 15 / 255, atol=1e-6)


def test_the_whole_image_is_stretched_to_the_square() -> None:
    pixels = np.zeros((100, 300, 3), np.uint8)
    pixels[:, 150:, 0] = 255
    image = prepare(pixels, Preprocessing(image_size=32))
    assert image[0, :, :16].max() < 0.02
    assert image[0, :, 16:].min() > 0.98


@pytest.mark.parametrize("shape", [(8, 8), (8, 200), (200, 8)])
def test_small_images_are_enlarged_within_their_range(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(60, 180, (*shape, 3), dtype=np.uint8)
    image = prepare(pixels, Preprocessing(image_size=32))
    assert image.min() >= 60 / 255 - 1e-6
    assert image.max() <= 180 / 255 + 1e-6


@pytest.mark.parametrize("white", [1023, 4095, 16383, 65535])
def test_sixteen_bit_images_are_divided_by_the_white_level_and_cut_off(white: WhiteLevel) -> None:
    pixels = np.full((32, 32, 3), white // 2, np.uint16)
    pixels[0, 0] = 65535
    image = prepare(pixels, Preprocessing(image_size=32, sixteen_bit_white=white))
    assert image[0, 5, 5] == pytest.approx(0.5, abs=1e-3)
    assert image[0, 0, 0] == 1


def test_the_white_level_does_not_touch_eight_bit_images() -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    wide, narrow = (Preprocessing(image_size=32, sixteen_bit_white=white) for white in (65535, 1023))
    assert np.array_equal(prepare(pixels, wide), prepare(pixels, narrow))


def test_a_sixteen_bit_image_is_nearly_its_eight_bit_twin() -> None:
    eight = np.random.default_rng(3).integers(0, 256, (70, 51, 3), dtype=np.uint8)
    sixteen = eight.astype(np.uint16) * 257
    settings = Preprocessing(image_size=32)
    assert np.abs(prepare(eight, settings) - prepare(sixteen, settings)).max() < 1 / 255


def test_the_input_is_left_unchanged() -> None:
    pixels = np.random.default_rng(4).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    before = pixels.copy()
    prepare(pixels, Preprocessing(image_size=32))
    assert np.array_equal(pixels, before)


@pytest.mark.parametrize("size", [100, 0, 33, 2048])
def test_a_size_that_the_source_cannot_take_is_refused(size: int) -> None:
    with pytest.raises(ValidationError):
        Preprocessing(image_size=size)


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="crop"):
        Preprocessing.model_validate({"image_size": 64, "crop": True})
