"""The table of metrics is what `/metrics` prints, and several processes add up."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from service.metrics import METRICS, Metrics, documented_names


def test_the_page_prints_exactly_the_documented_metrics() -> None:
    page = Metrics().render().decode()
    assert set(re.findall(r"^# TYPE (\S+)", page, re.MULTILINE)) == documented_names()


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


def test_several_processes_add_up(tmp_path: Path) -> None:
    program = (
        "from service.metrics import Metrics; metrics = Metrics(); "
        "metrics.counter('mkd_images_total', outcome='ok').inc(2); metrics.stage('device', 0.2); "
        "metrics.artifact_active('screw', '1', 'mkd', 'abc'); print(metrics.render().decode())"
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
    assert 'mkd_artifact_info{hash="abc",method="mkd",product="screw",version="1"} 1.0' in pages[1]
