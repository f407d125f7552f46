"""Addresses of services in; a real Prometheus with the rules of docker/, and its answers to queries, out.

It runs with docker/prometheus.yml as it is shipped, but for what a test or a demonstration must change: where the
services are, where the key lies, and a shorter interval.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from benchmarks.harness.service_process import DIRECT, ROOT, free_port

DOCKER = ROOT / "docker"
READY_WITHIN_S = 60.0
STOPPED_WITHIN_S = 20.0
PACKAGE = "prometheus is not installed (Debian: apt-get install prometheus)"


class PrometheusFailed(Exception):
    """Prometheus did not start, or refused a query; the text says why."""


def installed() -> bool:
    """Whether there is a Prometheus on this machine."""
    return shutil.which("prometheus") is not None


def configuration(services: Mapping[str, int], *, key: str | None, folder: Path, interval_s: int) -> dict[str, Any]:
    """docker/prometheus.yml for services (name -> loopback port), scraped every `interval_s` seconds.

    `key` is an API key of scope `metrics`; it is written into a file in `folder`, since the shipped file names one.
    """
    shipped: dict[str, Any] = yaml.safe_load((DOCKER / "prometheus.yml").read_text(encoding="utf-8"))
    shipped["global"] = {"scrape_interval": f"{interval_s}s", "evaluation_interval": f"{interval_s}s"}
    shipped["rule_files"] = [str(DOCKER / name) for name in shipped["rule_files"]]
    (job,) = (one for one in shipped["scrape_configs"] if one["job_name"] == "mkdserve")
    del job["dns_sd_configs"]
    job["static_configs"] = [
        {"targets": [f"127.0.0.1:{port}"], "labels": {"instance": name}} for name, port in services.items()
    ]
    if key is None:
        del job["authorization"]
    else:
        file = folder / "metrics_key"
        file.write_text(key, encoding="utf-8")
        job["authorization"]["credentials_file"] = str(file)
    return {**shipped, "scrape_configs": [job]}


class PrometheusProcess:
    """`prometheus` on a free loopback port, with its data in `folder`, until the block ends."""

    def __init__(self, config: Mapping[str, Any], folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        found = shutil.which("prometheus")
        if found is None:
            raise PrometheusFailed(PACKAGE)
        file = self._folder / "prometheus.yml"
        file.write_text(yaml.safe_dump(dict(self._config)), encoding="utf-8")
        command = [found, f"--config.file={file}", f"--storage.tsdb.path={self._folder / 'data'}"]
        command += [f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"]
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query, now. Raises PrometheusFailed where the expression is refused."""
        return self._series("query", query=expression)

    def query_range(self, expression: str, start: float, end: float, step_s: float) -> list[dict[str, Any]]:
        """The series between two Unix times; each has `metric` and `values`, pairs of time and text."""
        return self._series("query_range", query=expression, start=start, end=end, step=step_s)

    def rules(self) -> list[dict[str, Any]]:
        """Every rule with its `health` and `lastError`."""
        return [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]

    def targets(self) -> list[dict[str, Any]]:
        """What is scraped, each with its `health` and `lastError`."""
        active: list[dict[str, Any]] = self._ask("targets")["activeTargets"]
        return active

    def _series(self, kind: str, **parameters: object) -> list[dict[str, Any]]:
        answer = self._ask(kind, **parameters)
        if answer["resultType"] == "scalar":
            return [{"metric": {}, "value": answer["result"]}]
        series: list[dict[str, Any]] = answer["result"]
        return series

    def _ask(self, path: str, **parameters: object) -> Any:
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with DIRECT.open(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise PrometheusFailed(f"{parameters}: {error.read().decode()}") from error

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        patience = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < patience:
            if self._process.poll() is not None:
                break
            try:
                with DIRECT.open(f"http://127.0.0.1:{self.port}/-/ready", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise PrometheusFailed("\n".join(self._log_tail()))

    def _log_tail(self) -> Sequence[str]:
        return (self._folder / "prometheus.log").read_text(encoding="utf-8").splitlines()[-10:]
