"""Calibration from parts that were chosen by a known chance: what it promises, and that it keeps it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from models.calibration.conformal import Calibration, MapScale
from models.calibration.selection import Selection, SelectionStep
from models.calibration.tail_fit import fit_tail
from models.calibration.weighted import WeightedScores

SCALE = MapScale(low=0.0, high=1.0, threshold=0.5, rate_promised=0.05)


def chosen(up_to: float, probability: float) -> Selection:
    return Selection(steps=(SelectionStep(up_to=up_to, probability=probability),))


def calibration(scores: list[float], selection: Selection | None, rate: float = 0.01) -> Calibration:
    return Calibration(scores=tuple(sorted(scores)), ng_rate=rate, map_scale=SCALE, selection=selection)


def test_p_values_worked_out_by_hand() -> None:
    """Two parts below 2 stand for four each, two above for themselves: ten parts of the line."""
    found = calibration([1.0, 1.5, 3.0, 4.0], chosen(2.0, 0.25))
    assert found.p_value(0.5) == pytest.approx((10 + 4) / (10 + 4))
    assert found.p_value(1.5) == pytest.approx((6 + 4) / (10 + 4))
    assert found.p_value(2.0) == pytest.approx((2 + 4) / (10 + 4))
    assert found.p_value(2.1) == pytest.approx((2 + 1) / (10 + 1))
    assert found.p_value(5.0) == pytest.approx(1 / 11)
    assert found.smallest_rate == pytest.approx(1 / 11)


def test_a_threshold_rejects_the_scores_whose_p_value_is_at_most_the_rate() -> None:
    random = np.random.default_rng(1)
    scores = [float(score) for score in random.exponential(size=40)]
    found = calibration(scores, chosen(1.5, 0.3))
    for rate in (0.02, 0.05, 0.1, 0.3, 0.7):
        threshold = found.threshold(rate)
        for score in random.exponential(size=200):
            if rate >= found.smallest_rate:
                assert (score > threshold.value) == (found.p_value(float(score)) <= rate)


def test_equal_weights_are_the_counted_calibration() -> None:
    scores = [float(score) for score in np.random.default_rng(2).exponential(size=150)]
    plain, weighted = calibration(scores, None), calibration(scores, chosen(0.5, 1.0))
    assert weighted.smallest_rate == pytest.approx(plain.smallest_rate)
    for rate in (0.005, 0.01, 0.05, 0.2, 0.9):
        assert weighted.threshold(rate)[:3] == pytest.approx(plain.threshold(rate)[:3])
    for score in (0.0, scores[0], 1.0, 9.0):
        assert weighted.p_value(score) == pytest.approx(plain.p_value(score))


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_good_parts_are_rejected_at_most_at_the_rate_promised(share: float) -> None:
    """2,000 lines of 150 parts, old threshold at their 85 % quantile; the realised rate is exact; 99.95 %."""
    random = np.random.default_rng(3)
    cut = float(stats.lognorm.ppf(0.85, 1.0))
    realised = []
    for _ in range(2000):
        parts = random.lognormal(0, 1.0, 150)
        seen = np.sort(parts[(parts > cut) | (random.random(150) < share)])
        value, promised = WeightedScores(tuple(seen.tolist()), chosen(cut, share)).quantile(0.05)
        realised.append(stats.lognorm.sf(value, 1.0) - promised + 0.05)
    assert np.mean(realised) <= 0.05 + 3.5 * np.std(realised) / np.sqrt(len(realised))
    assert np.mean(realised) > 0.03


def test_the_same_parts_without_weights_reject_far_less_than_promised_and_let_defects_pass() -> None:
    """What the weights are for: the test above fails on an unweighted threshold."""
    random = np.random.default_rng(4)
    cut = float(stats.lognorm.ppf(0.85, 1.0))
    realised = []
    for _ in range(500):
        parts = random.lognormal(0, 1.0, 150)
        seen = parts[(parts > cut) | (random.random(150) < 0.05)]
        realised.append(stats.lognorm.sf(calibration(seen.tolist(), None).threshold(0.05).value, 1.0))
    assert np.mean(realised) < 0.02


def test_the_effective_number_is_the_number_where_all_weigh_the_same() -> None:
    scores = tuple(float(score) for score in range(1, 1001))
    assert WeightedScores(scores, chosen(0.5, 0.1)).effective(0.1) == pytest.approx(1000, rel=0.001)


def test_few_heavy_scores_tell_a_low_threshold_badly_and_a_high_one_well() -> None:
    """Eight spot checks that stand for 400 parts, and 40 above the old threshold that were all looked at."""
    scores = (*np.linspace(0, 0.9, 8).tolist(), *np.linspace(1.1, 2, 40).tolist())
    found = WeightedScores(scores, chosen(1.0, 0.02))
    assert found.effective(0.02) > 100
    assert found.effective(0.3) < 20


def test_a_rate_that_is_too_small_is_not_promised() -> None:
    threshold = calibration([1.0, 3.0, 4.0], chosen(2.0, 0.25)).threshold(0.01)
    assert threshold.value == 4.0
    assert threshold.rate_promised == pytest.approx(1 / 7)
    assert "needs more" in threshold.origin


def test_the_words_say_that_people_confirmed_the_parts() -> None:
    words = calibration([float(score) for score in range(300)], chosen(200.0, 0.5)).threshold(0.01).origin
    assert words.startswith("counted, weighted split-conformal on 300 parts of the line confirmed good")


def test_even_scores_are_as_the_line_sends_them() -> None:
    random = np.random.default_rng(5)
    parts = np.sort(random.normal(size=4000))
    seen = parts[(parts > 1) | (random.random(4000) < 0.1)]
    even = calibration(seen.tolist(), chosen(1.0, 0.1)).even_scores
    assert list(even) == sorted(even)
    assert len(even) == pytest.approx(400, rel=0.2)
    assert stats.kstest(even, "norm").pvalue > 0.01
    assert calibration(seen.tolist(), None).even_scores == tuple(seen.tolist())


def test_a_calibration_of_a_training_is_written_as_before_there_were_selections() -> None:
    plain = calibration([1.0, 2.0], None)
    assert list(json.loads(plain.model_dump_json())) == [
        "scores",
        "review_rate",
        "ng_rate",
        "map_scale",
        "map_peaks",
        "map_rate",
        "tail",
    ]
    weighted = calibration([1.0, 2.0], chosen(1.5, 0.1))
    assert Calibration.model_validate_json(weighted.model_dump_json()) == weighted


def test_a_copy_with_other_scores_decides_by_these() -> None:
    first = calibration([1.0, 1.5, 3.0], chosen(2.0, 0.25))
    assert first.threshold(0.05).value == 3.0
    assert first.model_copy(update={"scores": (1.0, 1.5, 7.0)}).threshold(0.05).value == 7.0


def test_a_tail_is_not_fitted_to_a_selection() -> None:
    scores = np.linspace(1, 2, 40)
    with pytest.raises(ValidationError, match="drawn at random"):
        Calibration(scores=tuple(scores.tolist()), map_scale=SCALE, tail=fit_tail(scores), selection=chosen(1.5, 0.1))
