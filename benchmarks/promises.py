"""Whether the counted promise holds with few held-out pictures, for every method: 2,000 calibrations of each size.

Each method is fitted once to synthetic good pictures (stand-in activations, no source). From a pool of other good ones,
held-out and new pictures are drawn anew each time; the threshold comes from the held-out ones by the product's own
calibration, and the share of new ones above it is the realised rate. Exchangeable pictures and a head that has seen
none of them must give (n + 1 - k) / (n + 1) on average, k being the rank of the threshold. No service is started.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.harness.report import RESULTS, Bar, machine, report
from benchmarks.harness.stand_in_parts import StandInParts, pictures
from models.calibration.conformal import calibrate
from models.heads.base import Bar as ProgressBar
from models.heads.base import Head, to_device
from models.heads.registry import config_of, method_names, method_of
from trainer.fit_run import TrainingRun

HELD_OUT = (2, 3, 5, 8, 12, 15, 19, 30, 50, 75, 99)
RATES = (0.01, 0.05, 0.2)
TRAINED, POOL, NEW = 60, 1000, 100
STEPS = 40  # of methods that have steps
DEVIATIONS = 3.5  # of the Monte-Carlo interval: 99.95 %, as some hundred cells are looked at
Scores = npt.NDArray[np.float32]


class _Silent:
    def say(self, text: str) -> None:
        """Nothing."""

    def update(self, done: int, note: str = "") -> None:
        """Nothing."""

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[ProgressBar]:
        yield self


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate; 0 where every realised rate lies inside its interval."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--draws", type=int, default=2000, help="calibrations of each size [2000]")
    options.add_argument("--methods", nargs="+", default=method_names(), help="[all]")
    options.add_argument("--out", type=Path, default=RESULTS, help="folder for the JSON result [benchmarks/results]")
    given = options.parse_args(arguments)
    results: dict[str, object] = {}
    outside = above = 0
    worst = 0.0
    for name in given.methods:
        scores = pool_scores(name)
        for rate in RATES:
            for count in HELD_OUT:
                cell = simulated(scores, count, rate, given.draws)
                outside += not cell["low"] <= cell["exact"] <= cell["high"]
                above += cell["low"] > cell["promised"]
                worst = max(worst, cell["realised"] - cell["promised"])
                results[f"{name}, {rate:g} asked, {count} held out"] = cell
                print(
                    f"{name:12} asked {rate:<5g} held out {count:3}: promised {cell['promised']:.4f} "
                    f"realised {cell['realised']:.4f} (interval {cell['low']:.4f} to {cell['high']:.4f})"
                )
    bars = [
        Bar("cells outside their Monte-Carlo interval", outside, "<=", 0),
        Bar("cells whose whole interval lies above the promise", above, "<=", 0),
    ]
    print(f"the largest realised rate above its promise: {worst:.4f}, by chance of the draws")
    return report("promises", given, machine(), results, bars)


def pool_scores(name: str) -> Scores:
    """Scores (POOL,) of good pictures by a head of the method with its default settings (fewer steps)."""
    method = method_of(name)
    short = {"steps": STEPS, "batch_size": 16}
    known = {setting: value for setting, value in short.items() if setting in method.Config.model_fields}
    config = config_of({"method": name, **known})
    with tempfile.TemporaryDirectory() as work:
        run = TrainingRun(torch.device("cpu"), 0, _Silent(), Path(work), name)
        head = to_device(method.fit(config, StandInParts(pictures(TRAINED, 1)), run), torch.device("cpu"))
    return judged(head, StandInParts(pictures(POOL, 2)))


def judged(head: Head, parts: StandInParts) -> Scores:
    """Scores (n,) without maps."""
    found = []
    for images, taps in parts.batches():
        further = None
        if head.needs.further_pass:
            _, further = StandInParts(head.changed(images, taps)).batch(range(len(images)))
        with torch.no_grad():
            found.append(head.judge(images, taps, [False] * len(images), further).scores.numpy())
    return np.concatenate(found).astype(np.float32)


def simulated(pool: Scores, count: int, rate: float, draws: int, new: int = NEW) -> dict[str, float]:
    """The realised rate over `draws` calibrations by `count` held-out pictures, with its Monte-Carlo interval."""
    random = np.random.default_rng([count, round(1000 * rate)])
    maps = np.zeros((count, 1, 1), np.float32)
    shares = np.empty(draws)
    promised = 1.0
    for number in range(draws):
        drawn = random.choice(pool, count + new, replace=False)
        threshold = calibrate(drawn[:count], maps).threshold(rate)
        promised = threshold.rate_promised
        shares[number] = (drawn[count:] > threshold.value).mean()
    rank = min(max(math.ceil((count + 1) * (1 - rate) - 1e-9), 1), count)
    half = DEVIATIONS * float(shares.std(ddof=1)) / math.sqrt(draws)
    mean = float(shares.mean())
    return {
        "promised": promised,
        "exact": (count + 1 - rank) / (count + 1),
        "realised": mean,
        "low": mean - half,
        "high": mean + half,
    }


if __name__ == "__main__":
    sys.exit(main())
