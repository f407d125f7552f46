"""What the calibration promises, and that it keeps it on scores that are exchangeable."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from models.calibration.conformal import Calibration, MapScale, calibrate, conformal_quantile

SCALE = MapScale(low=0.0, high=1.0, threshold=0.5, rate_promised=0.05)


def calibration(scores: list[float], review: float = 0.05, ng: float = 0.01) -> Calibration:
    return Calibration(scores=tuple(sorted(scores)), review_rate=review, ng_rate=ng, map_scale=SCALE)


@pytest.mark.parametrize("rate", [0.01, 0.02, 0.05, 0.1])
def test_good_parts_are_rejected_at_the_rate_that_was_asked(rate: float) -> None:
    """99 held-out scores and a new one from the same heavy-tailed law, 8,000 times over; two-sided 99.99 %."""
    draws = np.random.default_rng(11).lognormal(0, 1.5, (8000, 100))
    rejected = sum(row[-1] > conformal_quantile(tuple(np.sort(row[:-1])), rate)[0] for row in draws)
    low, high = stats.binom.interval(0.9999, len(draws), rate)
    assert low <= rejected <= high


@pytest.mark.parametrize("rate", [0.01, 0.03, 0.07])
@pytest.mark.parametrize("count", [20, 57, 150])
def test_the_rate_promised_is_never_exceeded(count: int, rate: float) -> None:
    """P(reject) is exactly (n + 1 - k) / (n + 1) for the k-th smallest of n."""
    ascending = tuple(float(value) for value in range(1, count + 1))
    value, promised = conformal_quantile(ascending, rate)
    exactly = (count + 1 - value) / (count + 1)
    assert exactly <= promised + 1e-12
    assert exactly > promised - 1 / (count + 1) - 1e-12


def test_p_values_of_good_parts_are_uniform() -> None:
    draws = np.random.default_rng(12).exponential(size=(6000, 20))
    places = [round(calibration(row[:-1].tolist()).p_value(float(row[-1])) * 20) for row in draws]
    counts = np.bincount(places, minlength=21)
    assert counts[0] == 0
    assert stats.chisquare(counts[1:]).pvalue > 1e-3


def test_p_values_worked_out_by_hand() -> None:
    held_out = calibration([1.0, 2.0, 2.0, 3.0])
    assert held_out.p_value(0.5) == 1.0
    assert held_out.p_value(2.0) == pytest.approx(4 / 5)
    assert held_out.p_value(2.5) == pytest.approx(2 / 5)
    assert held_out.p_value(9.0) == pytest.approx(1 / 5)


def test_a_small_set_says_what_it_can_promise() -> None:
    threshold = calibration([1.0, 2.0, 3.0]).threshold(0.01)
    assert threshold.value == 3.0
    assert threshold.rate_asked == 0.01
    assert threshold.rate_promised == 0.25
    assert "3 held-out" in threshold.origin
    assert "0.01 was asked for and needs 99 images" in threshold.origin


def test_exactly_enough_images_promise_the_rate() -> None:
    threshold = calibration([float(value) for value in range(99)]).threshold(0.01)
    assert threshold.rate_promised == 0.01
    assert "was asked for" not in threshold.origin
    assert calibration([float(value) for value in range(98)]).threshold(0.01).rate_promised == pytest.approx(1 / 99)


def test_one_held_out_image_still_gives_an_honest_threshold() -> None:
    only = calibration([0.4])
    assert only.smallest_rate == 0.5
    assert only.threshold(0.05).rate_promised == 0.5


def test_the_decision_follows_the_two_thresholds() -> None:
    thresholds = calibration([float(value) for value in range(1, 200)]).thresholds()
    assert thresholds.review is not None
    assert (thresholds.review.value, thresholds.ng.value) == (190.0, 198.0)
    decisions = [thresholds.decide(score) for score in (190.0, 190.5, 198.0, 198.5)]
    assert decisions == ["OK", "REVIEW", "REVIEW", "NG"]


def test_reviewing_can_be_switched_off() -> None:
    thresholds = calibration([float(value) for value in range(1, 200)]).thresholds(review=False)
    assert thresholds.review is None
    assert thresholds.decide(195.0) == "OK"


def test_a_rate_of_the_request_moves_ng_and_never_above_review() -> None:
    thresholds = calibration([float(value) for value in range(1, 200)]).thresholds(0.2)
    assert thresholds.review is not None
    assert thresholds.ng.value == thresholds.review.value == 160.0
    assert thresholds.decide(161.0) == "NG"


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_is_never_ok(score: float) -> None:
    with pytest.raises(ValueError, match="not a number to decide on"):
        calibration([1.0, 2.0]).thresholds().decide(score)


def test_a_score_that_is_no_number_has_no_p_value() -> None:
    with pytest.raises(ValueError, match="nan"):
        calibration([1.0, 2.0]).p_value(math.nan)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, math.nan])
def test_a_rate_outside_of_zero_and_one_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        calibration([1.0, 2.0]).threshold(rate)


def test_what_cannot_be_calibrated_with_is_refused() -> None:
    for scores, words in (((2.0, 1.0), "ascending"), ((1.0, math.nan), "finite"), ((), "at least 1")):
        with pytest.raises(ValidationError, match=words):
            Calibration(scores=scores, map_scale=SCALE)
    with pytest.raises(ValidationError, match="must not be above"):
        calibration([1.0], review=0.01, ng=0.05)


def test_calibrating_sorts_the_scores_and_sets_the_scale_from_the_peaks() -> None:
    maps = np.zeros((20, 4, 4), np.float32)
    maps[:, 0, 0] = np.arange(1, 21)
    found = calibrate(np.arange(20, 0, -1).astype(np.float32), maps, map_rate=0.1)
    assert found.scores == tuple(float(value) for value in range(1, 21))
    # The 19th of 20 peaks is the 90 % quantile; the median pixel is 0.
    assert (found.map_scale.low, found.map_scale.threshold, found.map_scale.high) == (0.0, 19.0, 38.0)
    assert found.map_scale.rate_promised == 0.1


def test_at_most_the_promised_share_of_good_images_is_lit() -> None:
    maps = np.random.default_rng(5).gamma(2, 1, (59, 8, 8)).astype(np.float32)
    scale = calibrate(np.arange(59, dtype=np.float32), maps, map_rate=0.05).map_scale
    assert (maps.max(axis=(1, 2)) > scale.threshold).mean() <= scale.rate_promised
    assert scale.low < scale.threshold < scale.high


def test_maps_that_are_flat_on_every_good_image_still_give_a_scale_with_width() -> None:
    scale = calibrate(np.arange(5, dtype=np.float32), np.zeros((5, 4, 4), np.float32)).map_scale
    assert scale.low < scale.threshold < scale.high


def test_few_images_promise_less_of_the_map() -> None:
    maps = np.random.default_rng(6).random((3, 4, 4), dtype=np.float32)
    assert calibrate(np.arange(3, dtype=np.float32), maps).map_scale.rate_promised == 0.25
