"""The table of metrics is what `/metrics` prints, and several processes add up."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from service.metrics import METRICS, Metrics


def test_the_page_prints_exactly_the_documented_metrics() -> None:
    page = Metrics().render().decode()
    assert set(re.findall(r"^# TYPE (\S+)", page, re.MULTILINE)) == {spec.name for spec in METRICS}


def test_names_follow_the_rules() -> None:
    for spec in METRICS:
        assert spec.name.startswith("mkd_")
        assert spec.name.endswith("_total") == (spec.kind == "counter")
        assert spec.name.endswith("_info") == (spec.kind == "info")
        assert (spec.kind == "histogram") == bool(spec.buckets)
        assert not {"request_id", "line", "station", "part_id"} & set(spec.labels)


def test_an_unknown_metric_or_label_is_an_error_at_once() -> None:
    metrics = Metrics()
    with pytest.raises(KeyError):
        metrics.counter("mkd_images")
    with pytest.raises(ValueError, match="label"):
        metrics.counter("mkd_images_total", product="screw")


def test_a_verdict_counts_its_decision_and_its_ratio_to_the_threshold() -> None:
    metrics = Metrics()
    metrics.decided("screw", "NG", 3.0, 2.0)
    metrics.decided("screw", "OK", 3.0, 0.0)
    assert metrics.value("mkd_decisions_total", product="screw", decision="NG") == 1
    assert metrics.value("mkd_score_to_threshold_ratio_sum", product="screw") == 1.5
    assert metrics.value("mkd_score_to_threshold_ratio_count", product="screw") == 1


def test_a_counter_whose_values_are_known_is_there_before_its_first_event() -> None:
    page = Metrics().render().decode()
    for spec in METRICS:
        assert not spec.values or (spec.kind == "counter" and len(spec.labels) == 1)
        for value in spec.values:
            assert f'{spec.name}{{{spec.labels[0]}="{value}"}} 0.0' in page
    assert 'mkd_expiries_total{stage="hopeless"} 0.0' in page


def test_a_product_has_all_its_decisions_before_its_first_part() -> None:
    metrics = Metrics()
    metrics.artifact_active("screw", "1", "mkd", "abc")
    page = metrics.render().decode()
    for decision in ("OK", "REVIEW", "NG"):
        assert f'mkd_decisions_total{{decision="{decision}",product="screw"}} 0.0' in page


def test_what_is_not_served_any_more_has_no_calibration_to_be_too_old() -> None:
    metrics = Metrics()
    metrics.calibrated("screw", 1.7e9, 0.01)
    assert metrics.value("mkd_promised_ng_ratio", product="screw") == 0.01
    metrics.not_served("screw")
    assert "mkd_calibration_timestamp_seconds{" not in metrics.render().decode()


def test_several_processes_add_up(tmp_path: Path) -> None:
    program = (
        "from service.metrics import Metrics; metrics = Metrics(); "
        "metrics.counter('mkd_images_total', outcome='ok').inc(2); metrics.stage('device', 0.2); "
        "metrics.artifact_active('screw', '1', 'mkd', 'abc'); metrics.calibrated('screw', 1.7e9, 0.01); "
        "metrics.gauge('mkd_in_flight_limit_images').set(512); print(metrics.render().decode())"
    )
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": os.getcwd()}
    pages = [
        subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert 'mkd_images_total{outcome="ok"} 2.0' in pages[0]
    assert 'mkd_images_total{outcome="ok"} 4.0' in pages[1]
    assert 'mkd_stage_seconds_count{stage="device"} 2.0' in pages[1]
    assert 'mkd_calibration_timestamp_seconds{product="screw"} 1.7e+09' in pages[1]
    assert 'mkd_promised_ng_ratio{product="screw"} 0.01' in pages[1]
    assert "mkd_in_flight_limit_images 1024.0" in pages[1]
    assert 'mkd_artifact_info{hash="abc",method="mkd",product="screw",version="1"} 1.0' in pages[1]
