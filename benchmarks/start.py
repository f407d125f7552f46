"""Processor time from the call to readiness, and idle memory, by number of products: a first start and later ones.

A first start judges all golden pictures (`--golden-check full`), a later one finds that they have passed before. With
`--other CHECKOUT` (a folder with another version, which may have no such setting) that one's start is measured in the
same turns. Other work on the machine makes all of them slower; their order turns round from one turn to the next.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.harness.copies import write_copies
from benchmarks.harness.inputs import served_folder
from benchmarks.harness.report import Bar, machine, options_of, report, spread
from benchmarks.harness.service_process import ROOT, ServiceProcess
from models.artifact import Artifact

MOST_OF_FIRST = 0.5
SETTLED_S = 1.0
MIB = 1 << 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 where the bar is met."""
    options = options_of(__doc__)
    options.add_argument("--products", type=int, nargs="+", default=[1, 2, 50], help="[1 2 50]")
    options.add_argument("--rounds", type=int, default=3, help="[3]")
    options.add_argument("--other", type=Path, help="a checkout of another version, measured in the same turns")
    given = options.parse_args(arguments)
    where = machine()
    with served_folder(given.artifact) as (_, artifact), TemporaryDirectory(prefix="mkd-start-") as name:
        results, bars = measure(given, artifact, Path(name))
    return report("start", given, where, results, bars)


def measure(given: argparse.Namespace, artifact: Artifact, root: Path) -> tuple[dict[str, object], list[Bar]]:
    """All starts in turns, after one of each number of products that makes the records."""
    ways: dict[str, tuple[Path, tuple[str, ...]]] = {
        "first": (ROOT, ("--golden-check", "full")),
        "later": (ROOT, ("--golden-check", "once")),
    }
    if given.other is not None:
        ways["other"] = (given.other.resolve(), ())
    results: dict[str, object] = {}
    bars = []
    for count in given.products:
        folder = root / str(count)
        write_copies(artifact, folder, count)
        started(folder, *ways["later"])
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        memory: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(given.rounds):
            for way in list(ways) if number % 2 == 0 else reversed(ways):
                processor_s, resident = started(folder, *ways[way])
                seconds[way].append(processor_s)
                memory[way].append(resident / MIB)
                print(f"{count} products, {way}: {processor_s:.2f} s, {resident // MIB} MiB")
        for way in ways:
            results[f"{way}_{count}_products_processor_s"] = spread(seconds[way])
            results[f"{way}_{count}_products_resident_mib"] = spread(memory[way])
        share = statistics.median(seconds["later"]) / statistics.median(seconds["first"])
        results[f"later_share_of_first_{count}_products"] = round(share, 3)
        if count == max(given.products):
            bars.append(Bar(f"a later start with {count} products, of a first one's time", share, "<=", MOST_OF_FIRST))
    return results, bars


def started(folder: Path, checkout: Path, flags: tuple[str, ...]) -> tuple[float, int]:
    """Processor seconds of one start until it is ready, and resident bytes a moment later."""
    with ServiceProcess(folder, *flags, root=checkout) as service:
        seconds = service.cpu_seconds()
        time.sleep(SETTLED_S)
        return seconds, service.resident_bytes()


if __name__ == "__main__":
    sys.exit(main())
