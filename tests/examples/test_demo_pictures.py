"""The demo's pictures: real wall, honest split, defects where the masks say."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("skimage", reason="the demo's photograph is in scikit-image's wheel (extra demo)")

from examples.demo_defects import PAINTERS, paint
from examples.demo_images import SIDE, Counts, brick_wall, crop, write_set
from trainer.labelled import read_labelled_set
from trainer.training_set import read_training_set


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "data"
    write_set(folder, Counts(train=12, good=2, defect=2), seed=3)
    return folder


def test_the_trainer_takes_the_set_without_a_complaint(written: Path) -> None:
    found = read_training_set(written)
    assert len(found.files) == 12
    assert (found.unreadable, found.duplicates, found.size_warning) == ((), (), None)


def test_evaluate_finds_every_defect_with_its_mask(written: Path) -> None:
    labelled = read_labelled_set(written)
    assert {image.defect for image in labelled} == {"good", *PAINTERS}
    for image in labelled:
        mask = image.mask(SIDE, SIDE)
        assert mask is not None
        assert mask.any() == image.anomalous


def test_the_same_seed_paints_the_same_pictures(written: Path, tmp_path: Path) -> None:
    write_set(tmp_path / "again", Counts(train=12, good=2, defect=2), seed=3)
    for file in sorted(written.rglob("*.png")):
        assert (tmp_path / "again" / file.relative_to(written)).read_bytes() == file.read_bytes()


def test_a_picture_shows_nothing_from_outside_the_wall() -> None:
    random = np.random.default_rng(0)
    bright = np.full_like(brick_wall(), 200)
    assert min(crop(bright, random).min() for _ in range(50)) > 150


def test_no_two_pictures_are_alike() -> None:
    random = np.random.default_rng(0)
    pictures = {crop(brick_wall(), random).tobytes() for _ in range(20)}
    assert len(pictures) == 20


@pytest.mark.parametrize("name", PAINTERS)
def test_a_defect_changes_the_picture_inside_its_mask_and_hardly_outside(name: str) -> None:
    random = np.random.default_rng(7)
    before = crop(brick_wall(), random)
    after, mask = paint(before, PAINTERS[name], random)
    change = np.abs(after - before)
    assert change[mask].mean() > 15
    assert change[~mask].max() < 12
    assert 0.003 < mask.mean() < 0.25


def test_the_wall_is_a_photograph_and_its_courses_lie_flat() -> None:
    picture = brick_wall()
    assert picture.shape == (512, 512)
    across, along = (np.abs(cv2.Sobel(picture, cv2.CV_32F, *order)).mean() for order in ((0, 1), (1, 0)))
    assert across > 1.5 * along
