"""Whether numbers are as the ones before them were."""

from __future__ import annotations

import numpy as np
import pytest

from models.calibration.neighbours import likeness


def test_numbers_that_come_three_times_are_alike() -> None:
    random = np.random.default_rng(1)
    found = likeness((np.repeat(random.normal(size=50), 3) + random.normal(0, 0.01, 150)).tolist())
    assert found.correlation == pytest.approx(2 / 3, abs=0.1)
    assert found.chance < 1e-6


@pytest.mark.parametrize("count", [20, 200])
def test_exchangeable_numbers_are_taken_for_alike_at_the_level(count: int) -> None:
    random = np.random.default_rng(count)
    found = [likeness(random.lognormal(size=count).tolist()).chance <= 0.01 for _ in range(3000)]
    assert 5 <= sum(found) <= 30 + 4 * 30**0.5


def test_alternating_numbers_are_not_alike() -> None:
    assert likeness([0.0, 1.0] * 20).correlation < -0.9


def test_few_or_equal_numbers_say_nothing() -> None:
    assert likeness([1.0] * 5) == (0.0, 1.0)
    assert likeness([1.0] * 30) == (0.0, 1.0)
    assert likeness([]) == (0.0, 1.0)
