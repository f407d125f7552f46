"""Spot checks are drawn at random, with the probability that goes with them, before a part is there."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from service.feedback.spot_checks import AT_ONCE, SpotChecks, SystemSource


class Counted(random.Random):
    """Counts its draws."""

    drawn = 0

    def random(self) -> float:
        self.drawn += 1
        return super().random()


def test_the_share_of_parts_is_drawn() -> None:
    checks = SpotChecks(0.1, random.Random(3))
    drawn = sum(checks.take() for _ in range(20_000))
    assert 1850 < drawn < 2150  # 3.5 standard deviations about 2000


@pytest.mark.parametrize(("share", "drawn"), [(0.0, 0), (1.0, 50)])
def test_none_and_all_can_be_asked_for(share: float, drawn: int) -> None:
    checks = SpotChecks(share)
    assert sum(checks.take() for _ in range(50)) == drawn


def test_a_draw_is_made_before_its_part_comes() -> None:
    source = Counted(5)
    checks = SpotChecks(0.5, source)
    assert source.drawn == 1
    expected = [random.Random(5).random() < 0.5]
    assert [checks.take()] == expected
    assert source.drawn == 2


def test_the_systems_numbers_are_all_different_and_equally_spread() -> None:
    source = SystemSource()
    numbers = [source.random() for _ in range(20 * AT_ONCE)]
    assert len(set(numbers)) == len(numbers)
    assert all(0 <= number < 1 for number in numbers)
    tenths = Counter(int(10 * number) for number in numbers)
    assert set(tenths) == set(range(10))
    assert max(tenths.values()) < 1.5 * len(numbers) / 10  # ten deviations
