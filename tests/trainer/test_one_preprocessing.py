"""Trainer and service see a file alike, to the byte: the trainer's way into the network against the service's."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest

from models.backends.base import SourceKey
from models.heads.base import Head
from models.image_judge import ImageJudge
from models.imaging.decode import ImageLimits
from models.imaging.picture_views import PictureViews
from models.imaging.preprocess import Preprocessing
from service.inspection.decode import prepare
from service.inspection.encoded_image import EncodedImage
from trainer.data import prepared_images
from trainer.training_set import read_training_set


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff", ".bmp"])
@pytest.mark.parametrize("size", [(40, 40), (90, 30), (32, 32), (20, 300)])
def test_an_eight_bit_file_gives_the_same_bytes_both_ways(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(size).integers(0, 256, (*size, 3), dtype=np.uint8)
    file = tmp_path / f"part{suffix}"
    cv2.imwrite(str(file), pixels)
    assert_same_both_ways(file, Preprocessing(image_size=32))


@pytest.mark.parametrize("brightest", [1000, 4000, 60000])
def test_a_sixteen_bit_file_gives_the_same_bytes_both_ways(tmp_path: Path, brightest: int) -> None:
    random = np.random.default_rng(brightest)
    for number in range(8):
        pixels = random.integers(0, brightest + 1, (50, 40, 3), dtype=np.uint16)
        cv2.imwrite(str(tmp_path / f"{number}.png"), pixels)
    found = read_training_set(tmp_path)
    preprocessing = Preprocessing(image_size=32, sixteen_bit_white=found.sixteen_bit_white)
    for file in found.files:
        assert_same_both_ways(file, preprocessing)


def test_a_large_jpeg_decoded_at_a_fraction_gives_the_same_bytes_both_ways(tmp_path: Path) -> None:
    file = tmp_path / "part.jpg"
    cv2.imwrite(str(file), np.random.default_rng(0).integers(0, 256, (600, 500, 3), dtype=np.uint8))
    assert_same_both_ways(file, Preprocessing(image_size=32, jpeg="reduced"))


def assert_same_both_ways(file: Path, preprocessing: Preprocessing) -> None:
    (trained_on,) = prepared_images((file,), PictureViews(preprocessing))
    judge = ImageJudge(cast(Head, None), cast(SourceKey, None), preprocessing)
    (served,) = prepare(EncodedImage(file.read_bytes(), file.name), judge, ImageLimits()).views
    assert trained_on.dtype == served.dtype == np.float32
    assert trained_on.tobytes() == served.tobytes()
    assert float(trained_on.std()) > 0
