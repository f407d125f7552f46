"""A trained artifact in, a picture of the dashboard after some minutes of a factory out.

The real service serves the artifact as two products, a real Prometheus scrapes it with the rules of docker/, and parts
come at random times: good ones with a defect now and then, then with the lamp of the second product dimmed, then far
more than can be judged; some seconds beforehand find out how many that is. `make demo` makes an artifact that will do;
Prometheus comes from Debian's package.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import cv2
import numpy as np

from benchmarks.harness.connection import post_images
from benchmarks.harness.load import closed_loop, open_loop
from benchmarks.harness.prometheus_process import PACKAGE, PrometheusProcess, configuration, installed
from benchmarks.harness.service_process import ServiceProcess
from examples.dashboard_sheet import Shown, draw_dashboard, now
from examples.demo_defects import PAINTERS, paint
from examples.demo_images import brick_wall, crop
from models.artifact import active_artifact

PRODUCTS = ("brick-left", "brick-right")  # two lines with a camera each
SCRAPE_S = 2
DIFFERENT = 200  # parts of each product and phase
DEFECTIVE = 0.02
WITH_MAP = 0.2
DEADLINE_MS = "2000"
PEAK_CLIENTS, PEAK_S = 4, 10.0  # the closed loop that finds out what this machine can do


class Phase(NamedTuple):
    """A stretch of the demonstration; `share` is of the length asked for, `light` that of the second product's lamp."""

    name: str
    share: float
    light: float
    overload: bool


PHASES = (
    Phase("", 0.30, 1.0, False),
    Phase("right lamp dimmed", 0.30, 0.8, False),
    Phase("", 0.12, 1.0, False),
    Phase("overload", 0.16, 1.0, True),
    Phase("", 0.12, 1.0, False),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve, watch, draw; 1 with a sentence where there is no Prometheus or no artifact."""
    options = argparse.ArgumentParser(prog="python -m examples.dashboard", description=__doc__)
    options.add_argument("--artifact", type=Path, default=Path("demo/artifacts/brick"), help="[demo/artifacts/brick]")
    options.add_argument("--out", type=Path, default=Path("demo/dashboard.png"), help="[demo/dashboard.png]")
    options.add_argument("--minutes", type=float, default=4.0, help="of traffic [4]")
    options.add_argument("--load", type=float, default=0.3, help="share of the peak, in quiet times [0.3]")
    options.add_argument("--overload", type=float, default=4.0, help="times the peak, in the overload [4]")
    given = options.parse_args(arguments)
    if not installed():
        print(PACKAGE, file=sys.stderr)
        return 1
    if not given.artifact.is_dir():
        print(f"{given.artifact} is not there; make demo makes it", file=sys.stderr)
        return 1
    with TemporaryDirectory(prefix="mkd-dashboard-") as name:
        watch(given, Path(name))
    print(f"written: {given.out}")
    return 0


def watch(given: argparse.Namespace, folder: Path) -> None:
    """All phases one after the other, then the picture."""
    for product in PRODUCTS:
        shutil.copytree(active_artifact(given.artifact), folder / "artifacts" / product)
    with ServiceProcess(folder / "artifacts") as service:
        config = configuration({"hall-1": service.port}, key=None, folder=folder, interval_s=SCRAPE_S)
        with PrometheusProcess(config, folder) as prometheus:
            spans = []
            peak = peak_of(service.port)
            print(f"peak: {peak:.1f} parts a second", flush=True)
            start = now()
            for number, phase in enumerate(PHASES):
                began, seconds = now(), phase.share * given.minutes * 60
                rate = peak * (given.overload if phase.overload else given.load)
                print(f"{seconds:.0f} s: {phase.name or 'as usual'}, {rate:.1f} parts a second", flush=True)
                requests = requests_of(phase, number)
                tally = asyncio.run(open_loop(service.port, requests, per_second=rate, seconds=seconds, seed=number))
                print(f"      answers by status: {tally.statuses}", flush=True)
                if phase.name:
                    spans.append((phase.name, began, now()))
            time.sleep(SCRAPE_S)
            title = f"mkdserve, {(now() - start) / 60:.0f} minutes of two products"
            draw_dashboard(prometheus, Shown(start, now(), SCRAPE_S, spans), title, given.out)


def peak_of(port: int) -> float:
    """Parts a second that the service can judge on this machine, as it is now."""
    requests = requests_of(PHASES[0], seed=len(PHASES))
    tally = asyncio.run(closed_loop(port, requests, clients=PEAK_CLIENTS, seconds=PEAK_S))
    return tally.images_per_second(PEAK_S / 5, PEAK_S)


def requests_of(phase: Phase, seed: int) -> list[bytes]:
    """Requests with one part each, the products in turn; some want a map."""
    random, wall = np.random.default_rng(seed), brick_wall()
    painters = list(PAINTERS.values())
    requests = []
    for number in range(DIFFERENT * len(PRODUCTS)):
        product = PRODUCTS[number % len(PRODUCTS)]
        part = crop(wall, random)
        if random.random() < DEFECTIVE:
            part, _ = paint(part, painters[number % len(painters)], random)
        if product == PRODUCTS[-1]:
            part = part * phase.light
        done, encoded = cv2.imencode(".png", np.rint(part).astype(np.uint8))
        assert done
        route = "/localize" if random.random() < WITH_MAP else "/score"
        headers = {"X-Deadline-Ms": DEADLINE_MS}
        requests.append(post_images(f"{route}?product={product}", [encoded.tobytes()], headers))
    return requests


if __name__ == "__main__":
    sys.exit(main())
