"""Changed copies of training pictures: exact ones of the picture, and of each others that are turned and scaled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from models.imaging.picture_views import PictureViews
from models.imaging.preprocess import Preprocessing
from models.imaging.tiling import Tiling
from tests.conftest import png
from trainer.augment import augmented_images, picture_numbers, same_images, variants
from trainer.config import Augmentation, TrainingSettings
from trainer.same_part import CHANGES_OF, NEED_SQUARES, check_same, consequence

IMAGE = np.random.default_rng(0).random((3, 32, 32), dtype=np.float32)
PAPER = Augmentation(copies=4, rotation=20, scale_low=0.9, scale_high=1.05)


def test_nothing_to_vary_gives_the_image_itself() -> None:
    (only,) = variants(IMAGE, Augmentation(), (0, 0))
    assert np.array_equal(only, IMAGE)


def test_as_many_copies_as_asked_all_different() -> None:
    found = variants(IMAGE, PAPER, (0, 0))
    assert len(found) == 4
    for number, one in enumerate(found):
        assert one.shape == IMAGE.shape
        assert one.dtype == np.float32
        assert one.flags.c_contiguous
        assert not any(np.array_equal(one, other) for other in [IMAGE, *found[:number]])


def test_the_seed_repeats_them_and_the_images_number_is_part_of_it() -> None:
    first, again, other = (variants(IMAGE, PAPER, seed) for seed in ((0, 1), (0, 1), (0, 2)))
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert not any(np.array_equal(one, two) for one, two in zip(first, other, strict=True))


def test_edges_are_mirrored_so_no_new_values_come_in() -> None:
    flat = np.full((3, 32, 32), 0.625, np.float32)
    for one in variants(flat, Augmentation(copies=3, rotation=180, scale_low=0.5, scale_high=2), (1, 1)):
        assert np.allclose(one, 0.625, atol=1e-6)
    for one in variants(IMAGE, PAPER, (1, 1)):
        assert IMAGE.min() - 1e-6 <= one.min() <= one.max() <= IMAGE.max() + 1e-6


def test_images_are_turned_about_their_centre() -> None:
    spot = np.zeros((3, 33, 33), np.float32)
    spot[:, 15:18, 15:18] = 1
    for one in variants(spot, Augmentation(copies=5, rotation=90), (2, 2)):
        assert one[0, 16, 16] == pytest.approx(1)


def test_copies_that_would_all_be_the_same_are_refused() -> None:
    with pytest.raises(ValidationError, match="more than one copy needs a rotation or a range of scales"):
        Augmentation(copies=2)


TILED = Preprocessing(
    image_size=32, resize="tiles", tiles=Tiling(side=32, overlap=8, width=56, height=32, version=2), version=2
)


@pytest.fixture
def two_files(tmp_path: Path) -> list[Path]:
    """Two pictures of 56 x 32: two tiles of 32 that overlap by 8."""
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 56, 3), dtype=np.uint8)
        (tmp_path / f"{number}.png").write_bytes(png(pixels))
    return sorted(tmp_path.iterdir())


def test_a_picture_comes_as_it_is_and_in_all_its_changes_before_the_next_one(two_files: list[Path]) -> None:
    views = PictureViews(Preprocessing(image_size=32, version=2))
    plain = list(same_images(two_files, views, "none"))
    found = list(same_images(two_files, views, "both"))
    assert len(plain) == 2
    for number, one in enumerate(plain):
        copies = found[4 * number : 4 * number + 4]
        assert np.array_equal(copies[0], one)
        for copy, flipped in zip(copies[1:], (one[:, :, ::-1], one[:, ::-1], one[:, ::-1, ::-1]), strict=True):
            np.testing.assert_allclose(copy, flipped, atol=1 / 255)  # OpenCV rounds halves on the way


def test_a_mirrored_tile_is_the_tile_of_the_mirrored_picture(two_files: list[Path]) -> None:
    first, mirrored_first, second, mirrored_second = same_images(two_files[:1], PictureViews(TILED), "mirrored")
    assert np.array_equal(mirrored_first, second[:, :, ::-1])
    assert np.array_equal(mirrored_second, first[:, :, ::-1])


def test_every_exact_copy_has_as_many_random_ones_and_no_two_are_turned_alike(two_files: list[Path]) -> None:
    augmentation = Augmentation(copies=2, rotation=90, same="mirrored")
    views = PictureViews(Preprocessing(image_size=32, version=2))
    found = list(augmented_images(two_files, views, augmentation, 0))
    assert len(found) == 2 * augmentation.images_of_each == 8
    assert len({one.tobytes() for one in found}) == 8
    first = variants(next(same_images(two_files, views, "none")), augmentation, (0, 0))
    assert all(np.array_equal(one, other) for one, other in zip(found[:2], first, strict=True))


def test_copies_of_a_view_share_a_number_and_with_exact_ones_all_views_of_a_picture() -> None:
    assert picture_numbers(3, 1, Augmentation()) == [0, 1, 2]
    assert picture_numbers(2, 2, Augmentation()) == [0, 1, 2, 3]
    assert picture_numbers(2, 2, Augmentation(copies=2, rotation=5)) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert picture_numbers(2, 2, Augmentation(same="mirrored")) == [0, 0, 0, 0, 1, 1, 1, 1]


def test_without_it_settings_are_recorded_as_before() -> None:
    assert "same" not in TrainingSettings().model_dump(mode="json")["augmentation"]
    chosen = TrainingSettings(augmentation=Augmentation(same="half_turn"))
    assert TrainingSettings.model_validate(chosen.model_dump(mode="json")) == chosen


def test_each_set_of_changes_but_none_says_what_is_not_told_apart_any_more() -> None:
    assert consequence("none") == ""
    told = {consequence(same) for same in CHANGES_OF if same != "none"}
    assert len(told) == len(CHANGES_OF) - 1
    assert all("counts as good and is not told from the others" in words for words in told)


def test_quarter_turns_are_refused_where_they_would_be_stretched_and_all_where_light_has_a_side() -> None:
    for same in CHANGES_OF:
        check_same(same, [(64, 64), (32, 32)], 0)
        if same in NEED_SQUARES:
            with pytest.raises(ValueError, match=f"--augment-same {same} needs square pictures; one has 64 x 48"):
                check_same(same, [(64, 64), (64, 48)], 0)
        else:
            check_same(same, [(64, 48)], 0)
    check_same("none", [(64, 48)], 3)
    with pytest.raises(ValueError, match="is not for parts with groups of channels"):
        check_same("mirrored", [(64, 64)], 2)
