"""The observer watches each product in a thread of its own, begins anew with a version, and tells the metrics."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from models.calibration.conformal import Calibration, MapScale
from models.image_judge import PreparedImage
from models.imaging.input_statistics import STATISTICS, InputStatistics, collect, measure
from models.imaging.preprocess import Prepared
from service.drift.monitor import DriftRules
from service.drift.observer import BURST, LATE_S, DriftObserver, DriftReport
from service.inspection.context import InspectionContext
from service.inspection.observers import Picture
from service.inspection.verdict import Verdict
from service.metrics import Metrics
from service.products.product import ProductVersion

RULES = DriftRules(alarm_parts=1000, window=50)
SIDE = 32
CONTEXT = InspectionContext("r1", "test")
RANDOM = np.random.default_rng(0)


def image(light: float = 0.5) -> Prepared:
    return np.clip(RANDOM.normal(light, 0.05, size=(3, SIDE, SIDE)), 0, 1).astype(np.float32)


SCALE = MapScale(low=0, high=1, threshold=0.5, rate_promised=0.05)
CALIBRATION = Calibration(scores=tuple(np.linspace(1, 2, 60).tolist()), map_scale=SCALE)
INPUT = collect([measure(image(), 64, 32) for _ in range(60)])


@dataclass(frozen=True)
class FakeVersion:
    name: str = "bolt"
    version: str = "1"
    hash: str = "aa"
    calibration: Calibration = CALIBRATION
    input_statistics: InputStatistics | None = INPUT
    scores_are_of_another_kind: bool = False


Seen = tuple[Verdict, Picture]


def seen(
    version: FakeVersion,
    *,
    score: float | None = None,
    at: float = 0.0,
    light: float = 0.5,
    view: Prepared | None = None,
) -> Seen:
    """A verdict as an observer is told of it; `view` in place of a picture of that light."""
    verdict = SimpleNamespace(product=version.name, score=RANDOM.uniform(1, 2) if score is None else score)
    prepared = PreparedImage((image(light) if view is None else view,), 64, 32)
    return cast(Verdict, verdict), Picture(prepared, b"", cast(ProductVersion, version), CONTEXT, at)


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        self.now += 1.0  # each look is a second later: nothing is too fast
        return self.now


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def observer(metrics: Metrics) -> Iterator[DriftObserver]:
    made = DriftObserver(RULES, metrics, clock=Clock())
    made.start()
    yield made
    made.stop()


def settled(observer: DriftObserver) -> DriftReport:
    """The report once all that was shown has been taken."""
    observer.stop()
    report = observer.report("bolt")
    assert report is not None
    return report


def show(observer: DriftObserver, *parts: Seen) -> None:
    """One after the other, without ever filling the queue."""
    for part in parts:
        observer.on_verdict(*part)
        while observer._waiting.qsize() > BURST // 2:
            pass


def test_parts_are_counted_and_measured(observer: DriftObserver, metrics: Metrics) -> None:
    show(observer, *[seen(FakeVersion(), at=7.0) for _ in range(30)])
    report = settled(observer)
    assert (report.parts, report.skipped, report.drifted, report.started) == (30, 0, False, 7.0)
    assert [state.name for state in report.watches] == ["score", *STATISTICS]
    assert metrics.value("mkd_drift_parts", product="bolt") == 30
    assert metrics.value("mkd_drift_alarm", product="bolt") == 0


def test_dimmed_light_shows_in_the_metrics(observer: DriftObserver, metrics: Metrics) -> None:
    show(observer, *[seen(FakeVersion(), light=0.45) for _ in range(60)])
    report = settled(observer)
    assert "brightness" in [state.name for state in report.watches if state.drifted]
    alarm = math.log10(RULES.alarm_parts)
    assert metrics.value("mkd_drift_input_evidence", product="bolt", statistic="brightness") >= alarm
    assert metrics.value("mkd_drift_evidence", product="bolt") < alarm
    assert metrics.value("mkd_drift_alarm", product="bolt") == 1


def test_scores_are_not_compared_with_worst_cases(observer: DriftObserver, metrics: Metrics) -> None:
    show(observer, *[seen(FakeVersion(scores_are_of_another_kind=True), score=0.1) for _ in range(60)])
    report = settled(observer)
    assert [state.name for state in report.watches] == list(STATISTICS)
    assert not report.drifted
    assert metrics.value("mkd_drift_input_evidence", product="bolt", statistic="brightness") >= 0


def test_a_new_version_begins_anew_and_latecomers_of_the_old_do_not_bring_it_back(observer: DriftObserver) -> None:
    old, new = FakeVersion(), FakeVersion(version="2", hash="bb")
    show(observer, *[seen(old) for _ in range(5)])
    show(observer, seen(new, at=1.0), seen(old, at=2.0), seen(new, at=3.0))
    report = settled(observer)
    assert (report.version, report.parts) == ("2", 2)


def test_a_rollback_begins_anew_too(observer: DriftObserver) -> None:
    old, new = FakeVersion(), FakeVersion(version="2", hash="bb")
    show(observer, seen(old), seen(new, at=1.0), seen(old, at=1.0 + LATE_S))
    report = settled(observer)
    assert (report.version, report.parts) == ("1", 1)


def test_what_comes_too_fast_is_passed_over_and_counted(metrics: Metrics) -> None:
    observer = DriftObserver(RULES, metrics, clock=lambda: 0.0)
    observer.start()
    show(observer, seen(FakeVersion()))
    while observer.report("bolt") is None:
        pass
    show(observer, *[seen(FakeVersion()) for _ in range(BURST + 9)])
    report = settled(observer)
    assert (report.parts, report.skipped) == (BURST, 10)


def test_a_part_that_cannot_be_measured_ends_nothing(observer: DriftObserver, metrics: Metrics) -> None:
    broken = seen(FakeVersion(), view=np.full((3, 4), np.nan, dtype=np.float32))
    show(observer, broken, seen(FakeVersion()))
    assert settled(observer).parts == 1
    assert metrics.value("mkd_observer_failures_total", observer="drift") == 1


def test_after_a_reset_nothing_is_known(observer: DriftObserver, metrics: Metrics) -> None:
    show(observer, *[seen(FakeVersion(), score=9.0) for _ in range(40)])
    settled(observer)
    assert metrics.value("mkd_drift_alarm", product="bolt") == 1
    observer.reset("bolt")
    assert observer.report("bolt") is None
    assert metrics.value("mkd_drift_alarm", product="bolt") == 0
    assert metrics.value("mkd_drift_evidence", product="bolt") == 0
    observer.reset("never seen")
