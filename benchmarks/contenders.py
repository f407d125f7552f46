"""Images a second, p50 and p99 of the bare detectors: the reference way, every backend here, peers; taking turns.

The reference way is the paper's code: torch, NCHW, image by image, gradients through both networks. Peers are
anomalib's PatchCore (wide_resnet50_2, a tenth of 200 images kept) and STFPM (resnet18) at the same input size.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.harness.backends import CPU_BACKENDS
from benchmarks.harness.contender import PEERS, Contender
from benchmarks.harness.inputs import served_folder
from benchmarks.harness.report import Bar, machine, options_of, report
from service.run.settings import Settings, thread_counts

BATCHES = (1, 8, 32)
SCORE_TIMES, LOCALIZE_TIMES, SINGLE_SHARE, MAP_COST = 2.3, 3.0, 0.65, 1.6
Key = tuple[str, int, bool]  # name, batch, with maps


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 where every bar is met."""
    options = options_of(__doc__)
    options.add_argument("--rounds", type=int, default=3, help="[3]")
    options.add_argument("--seconds", type=float, default=1.5, help="of each turn [1.5]")
    options.add_argument(
        "--peers-python", type=Path, default=Path(sys.executable), help="interpreter that has anomalib [this one]"
    )
    given = options.parse_args(arguments)
    where = machine()
    results, bars = measure(given)
    return report("contenders", given, where, results, bars)


def measure(given: argparse.Namespace) -> tuple[dict[str, object], list[Bar]]:
    """All rounds: for each batch and kind everybody has a turn before the next."""
    threads = thread_counts(Settings(), on_cpu=True).torch
    names = ["reference", *CPU_BACKENDS, *PEERS]
    seconds: dict[Key, list[float]] = {}
    with served_folder(given.artifact) as (_, artifact), ExitStack() as stack:
        entered = [
            stack.enter_context(
                Contender(
                    *(name, artifact.path),
                    threads=threads,
                    python=str(given.peers_python) if name in PEERS else sys.executable,
                )
            )
            for name in names
        ]
        present = [each for each in entered if each.missing is None]
        for each in present:
            each.turn(1, True, 0.0)  # warms up
        for number in range(given.rounds):
            for batch in BATCHES:
                for maps in (False, True):
                    for each in present if number % 2 == 0 else reversed(present):
                        seconds.setdefault((each.name, batch, maps), []).extend(each.turn(batch, maps, given.seconds))
            print(f"round {number + 1} of {given.rounds}")
        memory = {each.name: each.resident_mib() for each in present}
        missing = {each.name: each.missing for each in entered if each.missing is not None}
    results: dict[str, object] = {"network_input_px": artifact.preprocessing.image_size, "threads": threads}
    results |= {"rates": rows(seconds), "resident_mib": memory, "missing": missing}
    return results, bars_of(seconds)


def rows(seconds: dict[Key, list[float]]) -> list[dict[str, object]]:
    """One entry per contender, batch and kind."""
    return [
        {
            "name": name,
            "batch": batch,
            "maps": maps,
            "images_per_s": round(batch / statistics.median(found), 2),
            "p50_ms": round(statistics.median(found) * 1000, 1),
            "p99_ms": round(sorted(found)[round(0.99 * (len(found) - 1))] * 1000, 1),
            "batches": len(found),
        }
        for (name, batch, maps), found in seconds.items()
    ]


def bars_of(seconds: dict[Key, list[float]]) -> list[Bar]:
    """What was promised: of the fastest backend in float32, and of bfloat16, for which an artifact must be made."""
    middle = {key: statistics.median(found) / key[1] for key, found in seconds.items()}
    backends = {name for name, _, _ in middle} - {"reference", *PEERS}
    found = _bars_of(middle, backends - {"bfloat16"}, "float32")
    return found + _bars_of(middle, {"bfloat16"}, "bfloat16") if "bfloat16" in backends else found


def _bars_of(middle: dict[Key, float], backends: set[str], word: str) -> list[Bar]:
    best = {
        (batch, maps): min(middle[name, batch, maps] for name in backends)
        for batch in BATCHES
        for maps in (False, True)
    }
    score, localize = (middle["reference", 32, maps] / best[32, maps] for maps in (False, True))
    single, cost = best[1, False] / middle["torch", 1, False], best[32, True] / best[32, False]
    return [
        Bar(f"score in {word}, batch 32, times the reference way", score, ">=", SCORE_TIMES),
        Bar(f"localize in {word}, batch 32, times the reference way", localize, ">=", LOCALIZE_TIMES),
        Bar(f"one image in {word}, as a share of torch's time", single, "<=", SINGLE_SHARE),
        Bar(f"localize's time as a multiple of score's, batch 32, {word}", cost, "<=", MAP_COST),
    ]


if __name__ == "__main__":
    sys.exit(main())
