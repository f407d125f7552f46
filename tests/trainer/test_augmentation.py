"""Turned and scaled copies of a training image: seeded, in range, and the image itself where nothing varies."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from trainer.augment import variants
from trainer.config import Augmentation

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
