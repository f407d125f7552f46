"""Advice on changed copies: what it says and does not say, and how much it looks at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.heads.parts import place_gaussians
from trainer.advise import advice, copies
from trainer.advise.advice import AdviceJob
from trainer.advise.copies import CopiesAdvice, advise_copies
from trainer.advise.copies_trial import TriedCopies
from trainer.advise.trial import Separations
from trainer.config import TrainingSettings
from trainer.fit_run import Display
from trainer.same_part import Same
from trainer.training_set import read_training_set


def tried(same: Same, cost: float, painted: float, noise: float = 0.0) -> TriedCopies:
    swing = noise * np.random.default_rng(len(same)).standard_normal(40)
    return TriedCopies(same, 40, cost, Separations(painted, (painted + swing).astype(np.float32)))


def words(*found: TriedCopies) -> str:
    return "\n".join(CopiesAdvice(found, 40, 128).lines())


def test_what_helps_by_both_figures_is_named_with_what_it_costs() -> None:
    told = words(tried("none", -180.0, 0.78), tried("mirrored", -186.0, 0.84), tried("both", -194.5, 0.87))
    assert "if a part that is mirrored or turned so is a good part, --augment-same both would help" in told
    assert "told at 87.0% instead of 78.0%" in told
    assert "never told from the others. Where it is a defect" in told
    assert "both                 40  +14.5      87.0" in told


def test_of_several_that_help_as_well_the_one_that_hides_least_is_named() -> None:
    plain, few, many = (
        tried("none", -180.0, 0.78),
        tried("mirrored", -186.0, 0.86, noise=0.01),
        tried("all", -199.0, 0.87, noise=0.01)._replace(images=320),
    )
    assert "--augment-same mirrored would help" in words(plain, few, many)


@pytest.mark.parametrize(
    "other",
    [
        tried("both", -179.0, 0.87),  # good pictures are less likely
        tried("both", -194.0, 0.78),  # painted defects are told no better
        tried("both", -194.0, 0.79, noise=0.02),  # within chance
    ],
)
def test_copies_that_do_not_help_by_both_figures_are_not_proposed(other: TriedCopies) -> None:
    told = words(tried("none", -180.0, 0.78), other)
    assert told.endswith("changed copies would not help here")
    assert "would help" not in told


def job(folder: Path, work: Path) -> AdviceJob:
    settings = TrainingSettings()
    return AdviceJob(found=read_training_set(folder), settings=settings, work=work, sizes=(64, 32), threads=1)


def test_all_changes_are_tried_on_one_pass_over_a_bounded_number_of_images(
    good_folder_of_bolts: Path,
    source_weights: object,
    tmp_path: Path,
    silent_display: Display,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(advice, "DEFECTS", 24)
    monkeypatch.setattr(place_gaussians, "COMPARED", 2)
    found = advise_copies(job(good_folder_of_bolts, tmp_path), silent_display)
    assert found is not None
    assert (found.pictures, found.size) == (7, 32)
    images = {one.same: one.images for one in found.tried}
    assert images["none"] == 7
    assert (images["mirrored"], images["both"], images["quarter_turns"], images["all"]) == (14, 28, 28, 56)
    assert len({one.cost for one in found.tried}) == len(found.tried) == 7
    assert list(tmp_path.iterdir()) == []


def test_many_pictures_are_told_that_it_is_not_tried(
    good_folder_of_bolts: Path,
    tmp_path: Path,
    silent_display: Display,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(copies, "MOST_PICTURES", 9)
    assert advise_copies(job(good_folder_of_bolts, tmp_path), silent_display) is None
    assert said == ["changed copies are not tried: 10 pictures to train on are more than 9"]
