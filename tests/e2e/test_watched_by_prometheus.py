"""A real Prometheus scrapes the real service: the rules and the dashboard are evaluated on what it got."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.connection import Answer, post, post_images
from benchmarks.harness.dashboard import Panel, filled, panels
from benchmarks.harness.load import closed_loop
from benchmarks.harness.prometheus_process import PACKAGE, PrometheusProcess, configuration, installed
from benchmarks.harness.service_process import ServiceProcess
from service.auth import new_key

REQUESTS = 60
PATIENCE_S = 120.0
JUDGED = 'sum(mkd_images_total{outcome="ok"})'
CHARTS = [panel for panel in panels() if panel.targets]


@dataclass(frozen=True)
class Watched:
    """Prometheus after the traffic, and how many verdicts the client has counted."""

    prometheus: PrometheusProcess
    verdicts: int


@pytest.fixture(scope="module")
def watched(
    artifacts_folder: Path,
    flags: tuple[str, ...],
    good_images: list[bytes],
    bad_image: bytes,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Watched]:
    if not installed():
        pytest.skip(PACKAGE)
    folder = tmp_path_factory.mktemp("prometheus")
    line_key, line = new_key("line-1", ["infer"])
    scraper_key, scraper = new_key("prometheus", ["metrics"])
    keys = folder / "api_keys"
    keys.write_text(f"{line.line()}\n{scraper.line()}\n", encoding="utf-8")
    with ServiceProcess(artifacts_folder, *flags, "--api-keys-file", str(keys)) as service:
        config = configuration({"hall-1": service.port}, key=scraper_key, folder=folder, interval_s=1)
        with PrometheusProcess(config, folder) as prometheus:
            verdicts = asyncio.run(traffic(service.port, line_key, good_images, bad_image))
            wait_until_counted(prometheus, verdicts)
            yield Watched(prometheus, verdicts)


async def traffic(port: int, key: str, good: list[bytes], bad: bytes) -> int:
    """Some of all there is: two products, maps, bad images, answers too late. The verdicts that came."""
    headers = {"Authorization": f"Bearer {key}"}
    requests = [post("/score?product=bolt", b"no image", "image/png", headers)]
    requests += [post_images("/score?product=bolt", [bad], {**headers, "X-Deadline-Ms": "1"})]
    requests += [post_images("/localize?product=bolt", [good[0], bad], headers)]
    requests += [post_images(f"/score?product={name}", [image], headers) for name in ("bolt", "tile") for image in good]
    came: list[int] = []

    def keep(number: int, answer: Answer) -> None:
        came.append(answer.verdicts)

    await closed_loop(port, requests, clients=2, count=REQUESTS, keep=keep)
    return sum(came)


def wait_until_counted(prometheus: PrometheusProcess, verdicts: int) -> None:
    """Until Prometheus has seen all of the traffic, every series twice, and has evaluated every rule since."""
    patience = time.monotonic() + PATIENCE_S
    while time.monotonic() < patience and not counted(prometheus, verdicts):
        time.sleep(0.5)
    seen = time.time()
    while time.monotonic() < patience and not all(evaluated(rule) > seen for rule in prometheus.rules()):
        time.sleep(0.5)


def counted(prometheus: PrometheusProcess, verdicts: int) -> bool:
    twice = prometheus.query(f"{JUDGED} and on() min(count_over_time(mkd_requests_total[10m])) >= 2")
    return bool(twice) and float(twice[0]["value"][1]) >= verdicts


def evaluated(rule: dict[str, Any]) -> float:
    return datetime.fromisoformat(rule["lastEvaluation"]).timestamp()


def test_it_is_scraped_with_a_key_and_counts_every_verdict(watched: Watched) -> None:
    (target,) = watched.prometheus.targets()
    assert (target["health"], target["lastError"]) == ("up", "")
    assert watched.verdicts > 20
    (judged,) = watched.prometheus.query(JUDGED)
    (decided,) = watched.prometheus.query("sum(mkd_decisions_total)")
    assert float(judged["value"][1]) == float(decided["value"][1]) == watched.verdicts


def test_every_rule_is_evaluated_without_an_error(watched: Watched) -> None:
    rules = watched.prometheus.rules()
    assert len(rules) > 10
    assert [(rule["name"], rule["lastError"]) for rule in rules if rule["health"] != "ok"] == []


def test_a_service_that_is_well_raises_no_alarm(watched: Watched) -> None:
    alerts = [rule for rule in watched.prometheus.rules() if rule["type"] == "alerting"]
    paging = [rule for rule in alerts if rule["labels"]["severity"] == "page"]
    assert [rule["name"] for rule in paging if rule["state"] == "firing"] == []


@pytest.mark.parametrize("panel", CHARTS, ids=lambda panel: panel.title)
def test_every_expression_of_the_dashboard_is_evaluated_and_finds_something(watched: Watched, panel: Panel) -> None:
    for target in panel.targets:
        expression = filled(target.expression, rate_interval="30s", shown="5m")
        series = watched.prometheus.query(expression)
        assert series, expression
        labels = [target.label(one["metric"]) for one in series]
        assert len(set(labels)) == len(labels), f"two series of {panel.title} have the same legend"
