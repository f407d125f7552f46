"""Pixels that came as a tensor are judged as the file that observers are given, to the bit, without reading it back."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest

from models.image_judge import ImageJudge
from models.imaging.decode import ImageError, ImageLimits
from models.imaging.levels import LevelRange
from models.imaging.preprocess import Preprocessing
from service.inspection.decode import prepare
from service.inspection.encoded_image import EncodedImage
from service.oip import images
from service.oip.images import are_soon_made, images_of
from service.oip.tensors import InputTensor

LIMITS = ImageLimits()
RANDOM = np.random.default_rng(3)


def tensor_of(values: npt.NDArray[Any], layout: str = "NHWC") -> InputTensor:
    moved = values if layout == "NHWC" else np.ascontiguousarray(values.transpose(0, 3, 1, 2))
    return InputTensor("image", "UINT8", moved.shape, {"layout": layout}, values=moved)


def judge(levels: LevelRange | None = None) -> ImageJudge:
    seen = Preprocessing(image_size=32, sixteen_bit_white=4095, version=2)
    return ImageJudge(cast(Any, None), cast(Any, None), seen, levels)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["u1", "<u2", "<f4"])
def test_pixels_are_prepared_as_their_file_is(kind: str, channels: int, layout: str) -> None:
    whole = RANDOM.integers(0, 256 if kind == "u1" else 4096, (2, 40, 48, channels))
    values = whole.astype(kind) if kind != "<f4" else (whole / 4095).astype(kind)
    for image in images_of(tensor_of(values, layout), 8, 4095, LIMITS):
        assert image.pixels is not None
        beside, read_back = (prepare(one, judge(), LIMITS) for one in (image, EncodedImage(image.data)))
        assert (beside.width, beside.height) == (read_back.width, read_back.height)
        assert np.array_equal(beside.views[0], read_back.views[0])


def test_levels_and_bytes_are_checked_as_of_a_file() -> None:
    (image,) = images_of(tensor_of(np.full((1, 40, 48, 3), 250, np.uint8)), 8, 4095, LIMITS)
    dark = LevelRange(mean_low=0.1, mean_high=0.1, brightest_low=0.1, brightest_high=0.1)
    with pytest.raises(ImageError, match="above") as levels:
        prepare(image, judge(dark), LIMITS)
    assert levels.value.code == "image_level_unexpected"
    with pytest.raises(ImageError) as size:
        prepare(image, judge(), ImageLimits(max_bytes=1000))
    assert size.value.code == "image_too_many_bytes"


def test_what_a_file_is_read_otherwise_for_is_read_from_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups of channels, and pictures that are so large that a file of theirs is read strip by strip."""
    grey = tensor_of(np.zeros((1, 40, 48, 3), np.uint8))
    assert images_of(grey, 8, 4095, LIMITS, channels=(3,))[0].pixels is None
    monkeypatch.setattr(images, "STREAMED_PIXELS", 40 * 48)
    assert images_of(grey, 8, 4095, LIMITS)[0].pixels is None


def test_only_few_whole_numbers_are_soon_made() -> None:
    assert are_soon_made(tensor_of(np.zeros((8, 128, 128, 3), np.uint8)))
    assert not are_soon_made(tensor_of(np.zeros((1, 1024, 1024, 3), np.uint8)))
    assert not are_soon_made(tensor_of(np.zeros((1, 8, 8, 3), np.float32)))
