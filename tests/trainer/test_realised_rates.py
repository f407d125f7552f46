"""Promised and realised rates: counted by hand, and kept as often as chance allows."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.realised import caught, realised_rates


def test_counts_and_promises_worked_out_by_hand() -> None:
    held_out = np.arange(1, 20, dtype=np.float32)  # 19: 5 % is the least that can be promised
    fresh = np.array([0.5, 18.5, 19.0, 19.5, 25.0], dtype=np.float32)
    one, five, ten = realised_rates(held_out, fresh, (0.01, 0.05, 0.1))
    assert (one["threshold"], one["rate_promised"], one["count"]) == (19.0, 0.05, 2)
    assert (five["threshold"], five["rate_promised"], five["count"]) == (19.0, 0.05, 2)
    assert (ten["threshold"], ten["rate_promised"], ten["count"]) == (18.0, 0.1, 4)
    assert ten["inside"] is False
    assert ten["kept"] is False
    assert one["kept"] is True


def test_exchangeable_scores_keep_the_promise_nearly_always() -> None:
    random = np.random.default_rng(3)
    kept = [
        one["kept"]
        for _ in range(200)
        for one in realised_rates(random.normal(size=64).astype(np.float32), random.normal(size=41).astype(np.float32))
    ]
    assert np.mean(kept) > 0.95


def test_parts_that_drifted_break_the_promise() -> None:
    random = np.random.default_rng(4)
    found = realised_rates(
        random.normal(size=100).astype(np.float32), random.normal(2, 1, size=100).astype(np.float32), (0.1,)
    )
    assert found[0]["kept"] is False
    with pytest.raises(ValueError, match=r"."):
        realised_rates(np.ones(3, np.float32), np.zeros(0, np.float32))


def test_caught_are_the_defective_parts_above_the_threshold_of_the_good_ones() -> None:
    held_out = np.arange(1, 20, dtype=np.float32)  # 5 % of 19: the highest of them
    defective = np.array([3, 19, 19.5, 40], dtype=np.float32)
    assert caught(held_out, defective) == 0.5
    assert caught(held_out, defective, rate=0.1) == 0.75
