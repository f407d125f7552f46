"""Whether numbers in order are of one kind, and where they change."""

from __future__ import annotations

import numpy as np
import pytest

from models.calibration.change_point import change_point


def test_a_step_is_found_where_it_is() -> None:
    random = np.random.default_rng(1)
    found = change_point([*random.normal(0, 1, 120), *random.normal(1.5, 1, 80)])
    assert found is not None
    assert found.chance < 1e-6
    assert found.higher
    assert found.first == pytest.approx(120, abs=5)


def test_a_step_down_is_lower() -> None:
    found = change_point([*[2.0, 3.0] * 20, *[0.0, 1.0] * 20])
    assert found is not None
    assert (found.first, found.higher) == (40, False)


@pytest.mark.parametrize("count", [20, 100, 400])
def test_exchangeable_numbers_are_taken_for_two_kinds_at_most_at_the_level(count: int) -> None:
    """3,000 series with ties; the allowance is four standard deviations of the count at 1 %."""
    random = np.random.default_rng(count)
    found = [change_point(np.round(random.lognormal(size=count), 1).tolist()) for _ in range(3000)]
    assert sum(each is not None and each.chance <= 0.01 for each in found) <= 30 + 4 * 30**0.5


def test_too_few_numbers_say_nothing() -> None:
    assert change_point([]) is None
    assert change_point([1.0]) is None
    equal = change_point([1.0, 1.0, 1.0])
    assert equal is not None
    assert equal.chance == 1.0
