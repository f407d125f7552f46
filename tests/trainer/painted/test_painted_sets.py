"""Many painted defects: the same in every run, all kinds alike, and plain ones that nobody would miss."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest

from trainer.painted.kinds import KINDS
from trainer.painted.painted_set import painted_set, plain_defects


def pictures(count: int) -> list[npt.NDArray[np.uint8]]:
    random = np.random.default_rng(7)
    coarse = random.uniform(40, 200, (count, 16, 16, 1))
    noise = random.normal(0, 4, (count, 64, 64, 3))
    return list(np.clip(coarse.repeat(4, axis=1).repeat(4, axis=2) + noise, 0, 255).astype(np.uint8))


def test_a_set_is_the_same_in_every_run_of_one_seed() -> None:
    first, second, other = (list(painted_set(pictures(3), 4, seed)) for seed in (0, 0, 1))
    assert all((one.pixels == two.pixels).all() for one, two in zip(first, second, strict=True))
    assert [painted.kind for painted in first] == [painted.kind for painted in second]
    assert any((one.pixels != two.pixels).any() for one, two in zip(first, other, strict=True))


def test_a_longer_set_begins_like_a_shorter_one() -> None:
    short, long = list(painted_set(pictures(4)[:2], 3, 0)), list(painted_set(pictures(4), 3, 0))
    assert len(short) == 6
    assert all((one.pixels == two.pixels).all() for one, two in zip(short, long, strict=False))


def test_all_kinds_occur_equally_often() -> None:
    found = Counter(painted.kind for painted in painted_set(pictures(6), 4, 0))
    assert found == dict.fromkeys(KINDS, 2)


def test_only_the_asked_kinds_are_painted() -> None:
    assert {painted.kind for painted in painted_set(pictures(3), 4, 0, ["hole", "spot"])} == {"hole", "spot"}


def test_a_kind_that_cannot_be_seen_gives_way_to_the_next() -> None:
    flat = [np.full((64, 64, 3), 100, np.uint8)] * 4
    found = [painted.kind for painted in painted_set(flat, 2, 0, ["blur", "spot"])]
    assert found == ["spot"] * 8


def test_a_set_of_no_defects_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one defect a picture"):
        list(painted_set(pictures(1), 0, 0))


@pytest.mark.parametrize("value", [None, 0, 255])
def test_plain_defects_are_large_and_strong_on_every_picture(value: int | None) -> None:
    shown = pictures(6) if value is None else [np.full((64, 64, 3), value, np.uint8)] * 6
    found = list(plain_defects(shown, seed=0))
    assert len(found) == 6
    assert all(painted.contrast > 0.15 for painted in found)
    assert all(painted.size_share > 0.01 for painted in found)
    again = list(plain_defects(shown, seed=0))
    assert all((one.pixels == two.pixels).all() for one, two in zip(found, again, strict=True))
