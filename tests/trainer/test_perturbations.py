"""Each small change does what its name says, and nothing more."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest

from models.imaging.decode import Pixels
from trainer.perturb import CHANGES, PERTURBATIONS, perturbations


@pytest.fixture(params=[np.uint8, np.uint16])
def picture(request: pytest.FixtureRequest) -> Pixels:
    random = np.random.default_rng(0)
    coarse = random.uniform(0.3, 0.7, (3, 4, 3))
    smooth = np.kron(coarse, np.ones((20, 20, 1)))
    return cast(Pixels, (smooth * np.iinfo(request.param).max).astype(request.param))


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_a_changed_picture_keeps_its_shape_and_depth_and_most_of_itself(name: str, picture: Pixels) -> None:
    _, perturb = PERTURBATIONS[name]
    before = picture.copy()
    found = perturb(picture)
    assert (found.shape, found.dtype) == (picture.shape, picture.dtype)
    assert np.array_equal(picture, before), "the picture itself is not touched"
    assert np.corrcoef(found.ravel(), picture.ravel())[0, 1] > 0.7
    assert not np.array_equal(found, picture)


def test_light_changes_by_a_tenth_and_is_cut_off_at_white() -> None:
    brighter, darker = (PERTURBATIONS[f"brightness {sign}10 %"][1] for sign in "+-")
    grey = cast(Pixels, np.full((9, 9, 3), 100, np.uint8))
    assert (brighter(grey) == 110).all()
    assert (darker(grey) == 90).all()
    assert (brighter(cast(Pixels, np.full((9, 9, 3), 250, np.uint8))) == 255).all()


def test_a_shift_moves_by_two_pixels_both_ways() -> None:
    dot = np.zeros((20, 20, 3), np.uint8)
    dot[8, 9] = 255
    found = PERTURBATIONS["shift of 2 px"][1](cast(Pixels, dot))
    assert found[10, 11].tolist() == [255, 255, 255]


def test_every_change_has_its_perturbations() -> None:
    assert {change for change, _ in PERTURBATIONS.values()} == set(CHANGES)
    assert len(perturbations(("light", "blur"))) == 4
    assert perturbations(()) == []
