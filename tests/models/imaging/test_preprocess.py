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
from models.imaging.picture_views import PictureViews
from models.imaging.preprocess import JPEG_SIDES, Preprocessing, WhiteLevel, is_enlarged, prepare


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
    full = PictureViews(Preprocessing(image_size=32)).prepare_file(data)
    reduced = PictureViews(Preprocessing(image_size=32, jpeg="reduced")).prepare_file(data)
    assert reduced[1:] == full[1:] == ((height, width) if orientation == 6 else (width, height))
    apart = 255 * np.abs(full.whole - reduced.whole)
    assert apart.max() <= most
    assert apart.mean() <= most / 5
    pixels = decode(data, least_side=JPEG_SIDES * 32).pixels
    assert max(pixels.shape) == -(-max(height, width) // decoded)


def test_a_reduced_jpeg_that_ends_early_is_still_refused() -> None:
    data = jpeg(photograph(600, 800))
    with pytest.raises(ImageError) as refused:
        PictureViews(Preprocessing(image_size=32, jpeg="reduced")).prepare_file(data[: len(data) // 2])
    assert refused.value.code == "image_truncated"


def test_an_artifact_from_before_decodes_in_full() -> None:
    assert Preprocessing.model_validate({"image_size": 64}).jpeg == "full"


def scratched(turned: bool) -> list[npt.NDArray[np.uint8]]:
    """Strips of 4,096 x 64 with a scratch of 12 px across at 30 places."""
    strips = []
    for place in np.linspace(5, 4_070, 30).astype(int):
        strip = np.full((64, 4096, 3), 120, np.uint8)
        strip[20:44, place : place + 12] = 40
        strips.append(strip.swapaxes(0, 1).copy() if turned else strip)
    return strips


@pytest.mark.parametrize("turned", [False, True])
def test_a_strip_is_averaged_along_and_interpolated_across(turned: bool) -> None:
    good = np.full((4096, 64, 3) if turned else (64, 4096, 3), 120, np.uint8)
    new, old = (Preprocessing(image_size=128, version=version) for version in (2, 1))
    changed = [np.abs(prepare(strip, new) - prepare(good, new)).max() for strip in scratched(turned)]
    assert min(changed) >= 0.3 * 80 / 255 / 2  # 12 of the 32 pixels that become one, over two of them at worst
    lost = [np.abs(prepare(strip, old) - prepare(good, old)).max() == 0 for strip in scratched(turned)]
    assert sum(lost) >= 15  # why there is a version 2


@pytest.mark.parametrize("shape", [(600, 50), (50, 600), (65, 40), (40, 65), (6000, 63)])
def test_the_mean_of_a_strip_is_kept_and_no_value_lies_outside(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(60, 180, (*shape, 3), dtype=np.uint8)
    image = prepare(pixels, Preprocessing(image_size=64, version=2))
    along = 0 if shape[0] >= shape[1] else 1
    averaged = cv2.resize(
        pixels.astype(np.float32), (shape[1], 64) if along == 0 else (64, shape[0]), interpolation=cv2.INTER_AREA
    )
    expected = cv2.resize(averaged, (64, 64), interpolation=cv2.INTER_LINEAR) / 255
    assert np.allclose(image.transpose(1, 2, 0), expected, atol=1e-6)
    assert 60 / 255 - 1e-6 <= image.min() <= image.max() <= 180 / 255 + 1e-6


@pytest.mark.parametrize("shape", [(64, 64), (200, 90), (33, 20), (64, 300)])
def test_the_versions_differ_only_where_one_side_shrinks_and_one_grows(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(2).integers(0, 4096, (*shape, 3), dtype=np.uint16)
    first, second = (
        prepare(pixels, Preprocessing(image_size=64, sixteen_bit_white=4095, version=version)) for version in (1, 2)
    )
    assert np.array_equal(first, second)


def test_version_one_is_served_as_it_was_trained() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (500, 40, 3), dtype=np.uint8)
    before = cv2.resize(pixels, (64, 64), interpolation=cv2.INTER_LINEAR).transpose(2, 0, 1).astype(np.float32) / 255
    assert np.array_equal(prepare(pixels, Preprocessing(image_size=64)), before)
    assert Preprocessing.model_validate({"image_size": 64}).version == 1


def test_a_side_below_the_inputs_is_told() -> None:
    assert is_enlarged(4096, 64, 128)
    assert is_enlarged(127, 4096, 128)
    assert not is_enlarged(128, 4096, 128)
