"""Fitting a tail to few scores: near scipy's fit on many, silent on too few, and honest on how unsure it is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from models.calibration.recalibration import ScoresAndMaps, calibrated, calibration_words
from models.calibration.tail_fit import fit_tail
from trainer.config import TrainingSettings


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.3])
def test_many_scores_give_the_law_that_they_come_from(shape: float) -> None:
    scores = stats.genpareto.rvs(shape, loc=3, scale=2, size=20_000, random_state=np.random.default_rng(0))
    found = fit_tail(scores)
    assert found is not None
    assert found.shape == pytest.approx(shape, abs=0.05)
    for rate in (0.1, 0.01):
        assert found.score(rate) == pytest.approx(3 + stats.genpareto.isf(rate, shape, scale=2), rel=0.04)


def test_the_interval_holds_the_true_rate_mostly_even_for_thirty_scores() -> None:
    random = np.random.default_rng(1)
    inside = 0
    for _ in range(40):
        found = fit_tail(random.gamma(2, size=30))
        assert found is not None
        score = found.score(0.01)
        low, high = found.interval(score)
        inside += low <= stats.gamma(2).sf(score) <= high
    assert inside >= 26


def test_too_few_or_equal_scores_have_no_tail() -> None:
    assert fit_tail(np.arange(11, dtype=np.float32)) is None
    assert fit_tail(np.ones(50, np.float32)) is None


def test_a_fit_is_the_same_every_time() -> None:
    scores = np.random.default_rng(2).normal(size=40)
    assert fit_tail(scores) == fit_tail(scores[::-1])


def judged(count: int) -> ScoresAndMaps:
    random = np.random.default_rng(3)
    return ScoresAndMaps(random.gamma(2, size=count).astype(np.float32), random.random((count, 2, 2), dtype=np.float32))


def test_a_small_set_gets_a_tail_and_a_warning_and_a_large_one_only_when_asked() -> None:
    few, many = (calibrated(judged(count), TrainingSettings()) for count in (40, 120))
    assert few.tail is not None
    assert many.tail is None
    assert calibrated(judged(120), TrainingSettings(tail_fit=True)).tail is not None
    words = list(calibration_words(few))
    assert any(line.startswith("beware: 40 held-out images are few") for line in words)
    assert "tail fit on the upper 10 of 40" in words[-1]
    assert not any("beware" in line for line in calibration_words(many))
    assert list(few.map_peaks) == sorted(float(one.max()) for one in judged(40).maps)
