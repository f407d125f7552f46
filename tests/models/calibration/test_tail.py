"""The fitted tail: its closed form, what it says of itself, and when a threshold comes from it."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from models.calibration.conformal import Calibration, MapScale
from models.calibration.tail import Replicate, Tail

SCALE = MapScale(low=0.0, high=1.0, threshold=0.5, rate_promised=0.05)


def tail(shape: float) -> Tail:
    replicates = tuple(Replicate(0.25, shape, scale) for scale in np.linspace(1.5, 2.5, 21).tolist())
    return Tail(start=10.0, share=0.25, shape=shape, scale=2.0, exceedances=8, replicates=replicates)


def small(fitted: Tail | None = None) -> Calibration:
    """31 scores up to 12: no rate under 1 / 32 can be promised."""
    return Calibration(scores=tuple(np.linspace(1, 12, 31).tolist()), map_scale=SCALE, tail=fitted)


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.2])
@pytest.mark.parametrize("rate", [0.2, 0.02, 0.001])
def test_the_closed_form_is_that_of_scipys_generalised_pareto(shape: float, rate: float) -> None:
    expected = 10 + stats.genpareto.isf(rate / 0.25, shape, scale=2.0)
    assert tail(shape).score(rate) == pytest.approx(expected)


def test_the_interval_comes_from_the_replicates_and_holds_the_rate() -> None:
    fitted = tail(0.1)
    score = fitted.score(0.01)
    low, high = fitted.interval(score)
    assert low < 0.01 < high
    assert high == pytest.approx(0.25 * stats.genpareto.sf(score - 10, 0.1, scale=2.5), rel=1e-6)


def test_beyond_the_end_of_a_bounded_tail_nothing_is_expected() -> None:
    assert tail(-0.5).interval(10 + 2 * 2.5 + 1) == (0.0, 0.0)


@pytest.mark.parametrize("rate", [0.0, 0.3, math.nan])
def test_a_rate_that_the_tail_does_not_speak_of_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="the tail speaks of rates"):
        tail(0.1).score(rate)


def test_a_rate_below_the_counted_limit_is_an_estimate_that_says_so_and_never_loosens_the_promise() -> None:
    found = small(tail(0.1))
    asked = found.thresholds(0.01).ng
    assert asked.origin.startswith("tail fit on the upper 8 of 31")
    assert asked.value == pytest.approx(tail(0.1).score(0.01))
    assert asked.rate_promised == pytest.approx(1 / 32)
    low_tail = tail(0.1).model_copy(update={"start": 5.0})
    assert small(low_tail).thresholds(0.03).ng.value == 12.0, "never under the highest held-out score"


def test_without_being_asked_nothing_is_extrapolated() -> None:
    stored = small(tail(0.1)).thresholds().ng
    assert stored.value == 12.0
    assert stored.origin.startswith("counted")
    assert small(tail(0.1)).thresholds(0.05).ng.origin.startswith("counted")


def test_a_tail_reaches_ten_times_further_than_counting_and_no_more() -> None:
    assert small().smallest_fitted_rate is None
    found = small(tail(0.1))
    assert found.smallest_fitted_rate == pytest.approx(1 / 320)
    with pytest.raises(ValueError, match="does not speak"):
        found.fitted_threshold(1 / 400)
    with pytest.raises(ValueError, match="does not speak"):
        small().fitted_threshold(0.01)


def test_a_calibration_with_a_tail_survives_its_json_and_one_without_still_loads() -> None:
    found = small(tail(0.1))
    assert Calibration.model_validate_json(found.model_dump_json()) == found
    old = json.loads(small().model_dump_json())
    del old["tail"], old["map_peaks"]
    assert Calibration.model_validate(old).tail is None


def test_a_tail_that_is_no_law_is_refused() -> None:
    good = tail(0.1).model_dump()
    for change in ({"scale": 0.0}, {"share": 1.0}, {"shape": math.nan}, {"replicates": ()}):
        with pytest.raises(ValidationError):
            Tail.model_validate({**good, **change})
