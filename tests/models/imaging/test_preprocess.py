"""Pixels to input: sizes, depths and the white level, the same for trainer and service."""

from __future__ import annotations

import io

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from pydantic import ValidationError

from models.imaging.decode import ImageError, decode
from models.imaging.orientation import ORIENTATION_TAG
from models.imaging.preprocess import JPEG_SIDES, Preprocessing, WhiteLevel, prepare, prepare_file


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


def photograph(height: int, width: int) -> npt.NDArray[np.uint8]:
    """Smooth shapes with a tint and sensor noise."""
    random = np.random.default_rng(5)
    grey = cv2.GaussianBlur(random.uniform(0, 255, (height, width)).astype(np.float32), (0, 0), 8)
    shapes = 128 + 12 * (grey - grey.mean())[..., None] * np.array([1, 0.9, 0.8])
    return np.asarray(np.clip(shapes + random.normal(0, 3, shapes.shape), 0, 255), dtype=np.uint8)


def jpeg(pixels: npt.NDArray[np.uint8], orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    with io.BytesIO() as file:
        Image.fromarray(pixels).save(file, "JPEG", quality=90, exif=exif)
        return file.getvalue()


# A fraction that does not divide the side adds up to a pixel of it at the far edge: the picture is stretched by that.
@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize(
    ("height", "width", "decoded", "most"),
    [(600, 1100, 4, 3), (1024, 1536, 8, 3), (1030, 1500, 8, 15), (130, 130, 1, 0), (90, 2000, 1, 0)],
)
def test_a_reduced_jpeg_is_nearly_what_the_full_one_gives(
    height: int, width: int, decoded: int, most: float, orientation: int
) -> None:
    data = jpeg(photograph(height, width), orientation)
    full = prepare_file(data, Preprocessing(image_size=32))
    reduced = prepare_file(data, Preprocessing(image_size=32, jpeg="reduced"))
    assert reduced[1:] == full[1:] == ((height, width) if orientation == 6 else (width, height))
    apart = 255 * np.abs(full.image - reduced.image)
    assert apart.max() <= most
    assert apart.mean() <= most / 5
    pixels = decode(data, least_side=JPEG_SIDES * 32).pixels
    assert max(pixels.shape) == -(-max(height, width) // decoded)


def test_a_reduced_jpeg_that_ends_early_is_still_refused() -> None:
    data = jpeg(photograph(600, 800))
    with pytest.raises(ImageError) as refused:
        prepare_file(data[: len(data) // 2], Preprocessing(image_size=32, jpeg="reduced"))
    assert refused.value.code == "image_truncated"


def test_an_artifact_from_before_decodes_in_full() -> None:
    assert Preprocessing.model_validate({"image_size": 64}).jpeg == "full"
