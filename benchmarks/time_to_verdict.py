"""Seconds from 200 pictures to the first answered verdict of a calibrated artifact, by method, in turns.

Each turn is what a person does: `mkd-train fit`, which calibrates and checks, then the service, then one picture.
The default before is reckoned: what it took for one step and for MORE, and 2,000 times the difference for each.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.harness.inputs import pictures
from benchmarks.harness.report import Bar, machine, options_of, report, spread
from benchmarks.harness.service_process import ROOT, ServiceProcess
from examples.demo_images import Counts, write_set
from mkdserve.client import Client

BEFORE_STEPS, MORE = 2000, 101
FOUR_TAPS = ("--set", "taps=pool2,pool3,pool4,pool5")
LITE0 = ("--source", "efficientnet-lite0")
SHARE_OF_DEFAULT, SHARE_OF_TENTH, SHARE_OF_TWENTIETH = 0.5, 0.1, 0.05


class Way(NamedTuple):
    """A fit's options, and the share of the default before that it may take at most."""

    name: str
    options: tuple[str, ...]
    bar: float | None = None


ONE_STEP = Way("before, 1 step", ("--set", "steps=1", *FOUR_TAPS))
MORE_STEPS = Way(f"before, {MORE} steps", ("--set", f"steps={MORE}", *FOUR_TAPS))
WAYS = (
    Way("mkd", (), SHARE_OF_DEFAULT),
    Way("mkd without cloner", ("--set", "cloner=none")),
    Way("padim", ("--method", "padim"), SHARE_OF_TENTH),
    Way("patchcore", ("--method", "patchcore"), SHARE_OF_TENTH),
    Way("padim, efficientnet-lite0", ("--method", "padim", *LITE0), SHARE_OF_TWENTIETH),
    Way("patchcore, efficientnet-lite0", ("--method", "patchcore", *LITE0), SHARE_OF_TWENTIETH),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 where every bar is met."""
    options = options_of(__doc__)
    options.add_argument("--data", type=Path, help="a folder with train/good; without it the demo's brick wall")
    options.add_argument("--rounds", type=int, default=3, help="[3]")
    given = options.parse_args(arguments)
    where = machine()
    with TemporaryDirectory(prefix="mkd-verdict-") as name:
        data = given.data
        if data is None:
            data = Path(name) / "bricks"
            write_set(data, Counts(train=200, good=0, defect=0))
        results, bars = measure(given, data, Path(name))
    return report("time_to_verdict", given, where, results, bars)


def measure(given: argparse.Namespace, data: Path, folder: Path) -> tuple[dict[str, object], list[Bar]]:
    """All ways in turns; the record and its bars."""
    seconds: dict[str, list[float]] = {}
    shares: dict[str, list[float]] = {}
    for number in range(given.rounds):
        taken = {way.name: turn(way, data, folder / f"{number}") for way in (ONE_STEP, *WAYS, MORE_STEPS)}
        one = taken.pop(ONE_STEP.name)
        step = (taken.pop(MORE_STEPS.name) - one) / (MORE - 1)
        taken["before (reckoned)"] = before = one + (BEFORE_STEPS - 1) * step
        for name, value in taken.items():
            seconds.setdefault(name, []).append(value)
            shares.setdefault(name, []).append(value / before)
            print(f"round {number + 1}: {name}: {value:.1f} s, {value / before:.3f} of before", flush=True)
    results: dict[str, object] = {f"{name}_s": spread(values) for name, values in seconds.items()}
    bars = [
        Bar(f"{way.name} as a share of the default before", statistics.median(shares[way.name]), "<=", way.bar)
        for way in WAYS
        if way.bar is not None
    ]
    return results, bars


def turn(way: Way, data: Path, folder: Path) -> float:
    """Seconds of one way, from the command to the answer. Raises CalledProcessError where the fit fails."""
    name = "".join(letter if letter.isalnum() else "-" for letter in way.name)
    artifacts = folder / name
    command = [sys.executable, "-m", "trainer", "fit", str(data), "--product", "part", "--out", str(artifacts)]
    started = time.monotonic()
    subprocess.run(
        [*command, "--no-forecast", "--accept-degenerate", *way.options], cwd=ROOT, check=True, capture_output=True
    )
    with ServiceProcess(artifacts) as service:
        with Client(f"http://127.0.0.1:{service.port}") as client:
            client.score(pictures(1)[0])
        return time.monotonic() - started


if __name__ == "__main__":
    sys.exit(main())
