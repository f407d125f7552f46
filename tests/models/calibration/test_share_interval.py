"""Intervals of counted shares, compared with SciPy's, which the service does without."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from models.calibration.interval import clopper_pearson, incomplete_beta, weighted_share


@pytest.mark.parametrize(("count", "total"), [(0, 12), (12, 12), (1, 300), (30, 300), (7, 9)])
def test_the_interval_is_that_of_clopper_and_pearson(count: int, total: int) -> None:
    known = stats.binomtest(count, total).proportion_ci(method="exact")
    assert clopper_pearson(count, total) == pytest.approx((known.low, known.high), abs=1e-9)


def test_no_parts_say_nothing() -> None:
    assert clopper_pearson(0, 0) == (0.0, 1.0)
    assert weighted_share(np.array([], dtype=bool), np.array([])) == (0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("x", "a", "b"), [(0.2, 0.5, 20.0), (0.97, 2.5, 3.5), (0.4, 400.0, 650.0), (0.0, 1, 1), (1.0, 2, 3)]
)
def test_the_incomplete_beta_function_is_scipys(x: float, a: float, b: float) -> None:
    assert incomplete_beta(x, a, b) == pytest.approx(float(special.betainc(a, b, x)), abs=1e-12)


def test_parts_of_equal_weight_are_counted() -> None:
    hits = np.arange(40) < 3
    assert weighted_share(hits, np.full(40, 1.0)) == pytest.approx((3 / 40, *clopper_pearson(3, 40)))


def test_a_few_heavy_parts_make_the_interval_wide() -> None:
    """Ten parts that stand for a hundred each, none of them a hit: ten parts, and not a thousand."""
    assert weighted_share(np.zeros(10, dtype=bool), np.full(10, 100.0)).high == pytest.approx(clopper_pearson(0, 10)[1])


def test_none_of_the_parts_that_are_all_looked_at_is_told_by_those_that_the_others_stand_for() -> None:
    """Forty parts that stand for five each, and no hit, of which each one would have been seen: nearly 200 parts."""
    found = weighted_share(np.zeros(40, dtype=bool), np.full(40, 5.0), weight_of_a_hit=1.0)
    assert clopper_pearson(0, 200)[1] < found.high < clopper_pearson(0, 160)[1]


def test_the_weighted_interval_covers_the_true_share() -> None:
    """Hits are all seen, of the rest one in five; the true share is 0.1. At least 92 of 100 intervals hold it."""
    random = np.random.default_rng(6)
    covered = 0
    for _ in range(600):
        hits = random.random(200) < 0.1
        seen = hits | (random.random(200) < 0.2)
        _, low, high = weighted_share(hits[seen], np.where(hits, 1.0, 5.0)[seen])
        covered += low <= 0.1 <= high
    assert covered >= 0.92 * 600
