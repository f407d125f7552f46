"""Small painted defects on large pictures, and those of the part's own materials."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest

from trainer.painted.fine import WIDEST, fine_set
from trainer.painted.own_kinds import OWN_KINDS
from trainer.painted.paint import SIZE_TOLERANCE, paint
from trainer.painted.scene import CannotPaint


def board(seed: int = 0, side: int = 320) -> npt.NDArray[np.uint8]:
    """Two materials: dark traces of 12 pixels on a light ground, each picture with another layout."""
    random = np.random.default_rng(seed)
    picture = np.full((side, side, 3), 230, np.uint8)
    for _ in range(12):
        start = int(random.integers(0, side - 12))
        picture[start : start + 12, :] = 20
        start = int(random.integers(0, side - 12))
        picture[:, start : start + 12] = 20
    return picture


def test_a_defect_of_the_parts_own_materials_has_their_grey_levels_where_others_have_not() -> None:
    def new_levels(kind: str) -> float:
        """The share of the changed pixels that are of no material of the board."""
        painted = [paint(board(seed), np.random.default_rng(seed), kind, 0.01) for seed in range(6)]
        changed = np.concatenate([one.pixels[one.mask][:, 0] for one in painted]).astype(int)
        return float((np.minimum(abs(changed - 20), abs(changed - 230)) > 20).mean())

    assert all(new_levels(kind) < 0.35 for kind in OWN_KINDS)  # those along the edge
    assert new_levels("doubled") > 0.8


def test_a_swapped_place_is_of_the_other_material() -> None:
    for seed in range(8):
        before = board(seed)
        painted = paint(before, np.random.default_rng(seed), "swapped", 0.01)
        inside = painted.mask & (abs(painted.pixels[..., 0].astype(int) - before[..., 0].astype(int)) > 150)
        assert inside.sum() > 0.5 * painted.mask.sum()
        assert set(np.unique(before[inside])) <= {20, 230}


def test_fine_defects_are_so_many_pixels_wide_and_the_rest_of_the_picture_is_as_it_was() -> None:
    pictures = [board(seed) for seed in range(4)]
    found = list(fine_set(pictures, 3, 0, 8))
    assert len(found) == 12
    for number, one in enumerate(found):
        width = np.sqrt(4 / np.pi * one.mask.sum())
        assert 8 / SIZE_TOLERANCE <= width <= 8 * WIDEST * SIZE_TOLERANCE
        assert one.size_share == pytest.approx(one.mask.mean())
        change = np.abs(one.pixels.astype(int) - pictures[number // 3].astype(int)).max(axis=2)
        assert (one.mask == (change >= 0.02 * 255)).all()


def test_a_fine_set_is_the_same_in_every_run_and_its_kinds_take_turns() -> None:
    pictures = [board(seed) for seed in range(2)]
    first, second = (list(fine_set(pictures, 3, 1, 8, tuple(OWN_KINDS))) for _ in range(2))
    assert all((one.pixels == two.pixels).all() for one, two in zip(first, second, strict=True))
    assert Counter(one.kind for one in first) == dict.fromkeys(OWN_KINDS, 2)


def test_on_a_flat_picture_a_kind_gives_way_to_one_that_can_be_seen() -> None:
    flat = [np.full((200, 200, 3), 90, np.uint8)] * 2
    assert {one.kind for one in fine_set(flat, 2, 0, 8, ("swapped", "spot"))} == {"spot"}
    with pytest.raises(CannotPaint):
        list(fine_set(flat, 1, 0, 8, ("swapped",)))


@pytest.mark.parametrize(("each", "smallest", "kinds"), [(0, 8, ("spot",)), (1, 0.5, ("spot",)), (1, 8, ())])
def test_a_fine_set_of_nothing_is_refused(each: int, smallest: float, kinds: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="at least one defect a picture"):
        list(fine_set([board()], each, 0, smallest, kinds))
