"""The watch over one product says whether it drifts, in which number, where to and since when."""

from __future__ import annotations

import numpy as np
import pytest

from models.calibration.conformal import Calibration, MapScale
from models.imaging.input_statistics import STATISTICS, InputStatistics
from service.drift.monitor import REMEMBERED, DriftRules, ProductDrift, WatchState

RULES = DriftRules(alarm_parts=1000, window=100)
IMAGES = 100


def calibration(images: int = IMAGES) -> Calibration:
    scores = np.sort(np.random.default_rng(0).normal(5, 1, size=images))
    scale = MapScale(low=0, high=1, threshold=0.5, rate_promised=0.05)
    return Calibration(scores=tuple(scores.tolist()), map_scale=scale)


def inputs() -> InputStatistics:
    random = np.random.default_rng(1)
    values = {name: tuple(sorted(random.normal(size=IMAGES).tolist())) for name in STATISTICS}
    return InputStatistics(values=values | {"aspect": (1.0,) * IMAGES, "size": (4096.0,) * IMAGES})


def feed(watch: ProductDrift, parts: int, *, seed: int, score: float = 5.0, brightness: float = 0.0) -> None:
    random = np.random.default_rng(seed)
    for _ in range(parts):
        measured = np.array([random.normal(brightness, 1), *random.normal(size=4), 1.0, 4096.0])
        watch.on_verdict(random.normal(score, 1), measured, at=1000.0 + watch.parts)


def states(watch: ProductDrift) -> dict[str, WatchState]:
    return {state.name: state for state in watch.states()}


def test_good_parts_are_steady() -> None:
    watch = ProductDrift(calibration(), inputs(), RULES)
    feed(watch, 400, seed=2)
    assert not watch.drifted
    assert list(states(watch)) == ["score", *STATISTICS]
    assert states(watch)["size"].recent_median == 4096
    assert states(watch)["score"].calibration_median == pytest.approx(5, abs=0.3)


def test_less_light_is_named_with_its_direction_and_its_time() -> None:
    watch = ProductDrift(calibration(), inputs(), RULES)
    feed(watch, 300, seed=3)
    feed(watch, 100, seed=4, brightness=-2)
    assert watch.drifted
    drifted = [state for state in watch.states() if state.drifted]
    assert [state.name for state in drifted] == ["brightness"]
    (light,) = drifted
    assert light.leaning == "down"
    assert light.evidence >= 3 == np.log10(RULES.alarm_parts)
    assert light.evidence <= 4
    assert light.recent_median is not None
    assert light.recent_median < light.calibration_median - 1
    assert light.since is not None
    assert light.raised is not None
    assert 285 <= light.since.part <= light.raised.part <= 400
    assert light.since.at == 1000.0 + light.since.part - 1


def test_a_beginning_too_long_ago_has_a_part_but_no_time() -> None:
    watch = ProductDrift(calibration(), None, RULES)
    feed(watch, REMEMBERED + 200, seed=5, score=9)
    (score,) = watch.states()
    assert score.since is not None
    assert score.since.part < 20
    assert score.since.at is None


def test_without_recorded_inputs_the_score_alone_is_watched() -> None:
    watch = ProductDrift(calibration(), None, RULES)
    feed(watch, 50, seed=6, brightness=-9)
    assert not watch.input_recorded
    assert list(states(watch)) == ["score"]
    assert not watch.drifted


def test_a_statistic_that_this_version_does_not_know_is_left_out() -> None:
    known = inputs()
    more = InputStatistics(values={**known.values, "humidity": (0.5,) * IMAGES})
    assert "humidity" not in states(ProductDrift(calibration(), more, RULES))


def test_one_calibration_image_is_nothing_to_compare_with() -> None:
    watch = ProductDrift(calibration(images=1), None, RULES)
    feed(watch, 20, seed=7)
    assert watch.states() == []
    assert not watch.drifted
