"""Whatever a method sets aside or cuts into folds, a picture and its copies are never on both sides."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from models.heads.base import GoodParts, Trainable
from models.heads.padim.config import PadimConfig
from models.heads.padim.method import PadimMethod
from models.heads.parts.by_picture import ByPicture
from models.heads.parts.folds import folds_of
from models.heads.parts.loop_settings import LoopSettings
from models.heads.per_tile.fit import fit_per_tile
from models.heads.registry import config_of, method_of
from tests.models.heads.conftest import MadeParts, MadeRun, pictures

COPIES = 3
VIEWS: dict[str, object] = {"method": "mkd", "cloner": "none", "view_sum": "powers", "map_views": ["pool4:100"]}
METHODS = [
    {**VIEWS, "score_views": ["pool3:100", "pool4:100"]},
    {"method": "students", "students": 2, "width": 4, "steps": 1, "aside": 0.3},
    {**VIEWS, "score_views": ["pool4:100"], "two_sizes": True},
]


def copied(count: int) -> MadeParts:
    """Pictures with their copies behind each."""
    images = pictures(count).repeat_interleave(COPIES, dim=0)
    return MadeParts(images, [number // COPIES for number in range(len(images))])


class WatchedParts(MadeParts):
    """Keeps the pictures of every subset that is made."""

    def __init__(self, images: Tensor, picture_numbers: Sequence[int]) -> None:
        super().__init__(images, picture_numbers)
        self.made: list[list[int]] = []

    def subset(self, indices: Sequence[int]) -> MadeParts:
        self.made.append([self.picture_numbers[index] for index in indices])
        return super().subset(indices)


class SteplessRun(MadeRun):
    """Leaves what is trained as it begins."""

    def train(self, trainable: Trainable, parts: GoodParts, settings: LoopSettings) -> None:
        trainable.begin(*parts.batch(range(2)))


def test_images_are_found_by_their_picture_in_order_of_appearance() -> None:
    found = ByPicture([7, 7, 2, 7, 2, 5])
    assert found.count == 3
    assert found.images([2, 0]) == [5, 0, 1, 3]


def test_folds_keep_a_picture_whole_and_are_as_before_where_nothing_is_copied() -> None:
    for fold in folds_of(copied(7), 3, torch.Generator().manual_seed(0)):
        assert not set(fold.seen.picture_numbers) & set(fold.unseen.picture_numbers)
        assert fold.seen.count + fold.unseen.count == 7 * COPIES
    plain = MadeParts(pictures(7))
    order = torch.randperm(7, generator=torch.Generator().manual_seed(0)).tolist()
    unseen = [list(fold.unseen.picture_numbers) for fold in folds_of(plain, 3, torch.Generator().manual_seed(0))]
    assert unseen == [sorted(order[first::3]) for first in range(3)]


@pytest.mark.parametrize("settings", METHODS, ids=lambda one: str(one["method"]))
def test_what_a_method_sets_aside_has_no_copy_among_what_it_is_fitted_to(settings: dict[str, object]) -> None:
    found = copied(12)
    parts, run = WatchedParts(found.images, found.picture_numbers), SteplessRun()
    config = config_of(settings)
    method_of(config.method).fit(config, parts, run)
    assert len(parts.made) >= 2, "nothing was set aside"
    for seen, unseen in zip(parts.made[::2], parts.made[1::2], strict=True):
        assert not set(seen) & set(unseen)
        assert len(seen) + len(unseen) == parts.count


def test_padim_has_too_few_pictures_to_compare_however_many_copies_there_are() -> None:
    by_picture, by_image = MadeRun(), MadeRun()
    found, config = copied(7), PadimConfig(dimensions=20)
    PadimMethod().fit(config, found, by_picture)
    PadimMethod().fit(config, MadeParts(found.images), by_image)
    assert "place_gain_nats" in by_image.notes
    assert "place_gain_nats" not in by_picture.notes


def test_copies_do_not_make_enough_pictures_for_a_head_for_each_tile() -> None:
    config = config_of({"method": "padim", "dimensions": 20})
    with pytest.raises(ValueError, match=r"^5 pictures are too few to fit a head to each tile"):
        fit_per_tile(method_of("padim"), config, copied(10), MadeRun(), 2, COPIES)
