"""Images a second of the bare detector by every backend here, and of the reference way, interleaved in one run.

`python -m benchmarks.backends ARTIFACT [--rounds 5]`. The reference way is written from the paper and its code's
habits: torch, NCHW, one image at a time; for a map the gradient goes back through both networks. It gives up on nothing
else: same weights, same cloner, same smoothing. `bfloat16` is what an artifact of that source precision would run on.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from importlib import metadata
from pathlib import Path

import torch

from benchmarks.harness.backends import CPU_BACKENDS
from benchmarks.harness.contender import Run, ours, reference
from models.artifact import Artifact, active_artifact, load_artifact

BATCHES = (1, 8, 32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    artifact = load_artifact(active_artifact(given.artifact))
    runs: dict[str, Run] = {"reference": reference(artifact)}
    runs.update({backend: ours(artifact, backend, torch.get_num_threads()) for backend in CPU_BACKENDS})
    seconds: dict[tuple[str, int, bool], list[float]] = {}
    for number in range(given.rounds + 1):
        for batch in BATCHES:
            for maps in (False, True):
                for name, run in runs.items():
                    started = time.perf_counter()
                    run(batch, maps)
                    if number:  # the first round warms up
                        seconds.setdefault((name, batch, maps), []).append((time.perf_counter() - started) / batch)
    _tell(artifact, seconds, given.rounds)


def _tell(artifact: Artifact, seconds: dict[tuple[str, int, bool], list[float]], rounds: int) -> None:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "ncnn"))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}")
    print(f"{artifact.preprocessing.image_size} px, {torch.get_num_threads()} threads, medians of {rounds} rounds\n")
    print(
        f"{'':<11}{'batch':>6}{'score img/s':>13}{'ratio':>7}{'localize img/s':>16}{'ratio':>7}{'localize/score':>16}"
    )
    for batch in BATCHES:
        base = {maps: statistics.median(seconds["reference", batch, maps]) for maps in (False, True)}
        for name in ("reference", *CPU_BACKENDS):
            score, localize = (statistics.median(seconds[name, batch, maps]) for maps in (False, True))
            print(
                f"{name:<11}{batch:>6}{1 / score:>13.1f}{base[False] / score:>6.2f}x{1 / localize:>16.1f}"
                f"{base[True] / localize:>6.2f}x{localize / score:>15.2f}x"
            )


if __name__ == "__main__":
    main()
