"""Where the time of one picture goes that comes alone: decoding, preparing, source, head, and what lies between.

`python -m benchmarks.one_picture [--artifact ARTIFACT] [--map]`: EfficientNet-Lite0 in float32 and int8 with PaDiM's
head (random numbers in it), or an artifact with its own source and head. Between two pictures the process sleeps and
overwrites a piece of memory as large as a shared cache, as on a line, where a picture comes now and then: what a turn
before has left in the caches and which threads are awake would flatter it. Wall and processor time, medians of turns.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.fast_source import CPU, PRECISIONS, SOURCE, files, random_padim
from benchmarks.harness.report import machine, options_of, report
from models.artifact import active_artifact, load_artifact
from models.backends.base import SourceBackend
from models.backends.pool import SourcePool, source_key
from models.backends.single_threads import waiting_threads_sleep
from models.detector import Detector
from models.image_judge import ImageJudge
from models.imaging.decode import decode
from models.imaging.preprocess import JPEG_SIDES, Preprocessing
from service.machine.openmp import let_waiting_threads_sleep

CACHE_BYTES = 64 << 20
WHOLE, BETWEEN = "whole", "between"


class Clock:
    """Wall and processor time in ms by part, one entry for each turn."""

    def __init__(self) -> None:
        self.spent: dict[str, list[tuple[float, float]]] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Takes the time of what is done inside."""
        wall, processor = time.perf_counter(), time.process_time()
        yield
        taken = ((time.perf_counter() - wall) * 1000, (time.process_time() - processor) * 1000)
        self.spent.setdefault(name, []).append(taken)

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose calls are of that part."""

        def run(*arguments: Any) -> Any:
            with self.part(name):
                return function(*arguments)

        return run

    def medians(self) -> dict[str, str]:
        """Each part's wall and processor time; of `between` what the others leave of the whole."""
        parts = [name for name in self.spent if name != WHOLE]
        turns = zip(self.spent[WHOLE], *(self.spent[name] for name in parts), strict=True)
        self.spent[BETWEEN] = [
            (whole[0] - sum(one[0] for one in others), whole[1] - sum(one[1] for one in others))
            for whole, *others in turns
        ]
        return {
            name: " / ".join(f"{statistics.median(column):.2f}" for column in zip(*self.spent[name], strict=True))
            for name in (*parts, BETWEEN, WHOLE)
        }


class TimedSource:
    """A backend whose passes are taken the time of. See SourceBackend."""

    def __init__(self, backend: SourceBackend, clock: Clock) -> None:
        self.name = backend.name
        self.activations = clock.timed("source", backend.activations)


def turns(judge: ImageJudge, pool: SourcePool, file: bytes, count: int, *, wants_map: bool) -> dict[str, str]:
    """Medians by part of that many turns; the first few warm up and are not counted."""
    clock, cache = Clock(), np.zeros(CACHE_BYTES, np.uint8)
    detector = Detector(CPU, {judge.source: TimedSource(pool.require(judge.source), clock)})
    judge.head.judge = clock.timed("head", judge.head.judge)  # type: ignore[method-assign]
    least = JPEG_SIDES * judge.preprocessing.image_size if judge.preprocessing.jpeg == "reduced" else None
    for number in range(-5, count):
        if number == 0:
            clock.spent.clear()
        np.add(cache, 1, out=cache)
        time.sleep(0.01)
        with clock.part(WHOLE):
            with clock.part("decoding"):
                pixels = decode(file, least_side=least).pixels
            with clock.part("preparing"):
                image = judge.prepare(pixels)
            judge.join(image, detector.judge(judge.rows(image, wants_map=wants_map)))
    return clock.medians()


def judges(artifact: Path | None, side: int) -> dict[str, ImageJudge]:
    """By name: the artifact's, or those of EfficientNet-Lite0 and PaDiM."""
    if artifact is not None:
        found = load_artifact(active_artifact(artifact))
        return {f"{found.head.method}_{found.source.source}": found.judge}
    seen = Preprocessing(image_size=side, jpeg="reduced", version=2)
    keys = {precision: source_key(SOURCE.name, "source", precision=precision) for precision in PRECISIONS}
    return {f"padim_{precision}": ImageJudge(random_padim(side), key, seen) for precision, key in keys.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; there is no bar."""
    options = options_of(__doc__)
    options.add_argument("--turns", type=int, default=200, help="[200]")
    options.add_argument("--side", type=int, default=224, help="of the network's input in pixels [224]")
    options.add_argument("--map", action="store_true", help="with its map")
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = options.parse_args(arguments)
    torch.set_num_threads(given.threads)
    pool = SourcePool(CPU, threads=given.threads)
    results: dict[str, str] = {}
    for name, judge in judges(given.artifact, given.side).items():
        found = turns(judge, pool, files(1)[0], given.turns, wants_map=given.map)
        results |= {f"{name}_{part}_wall_and_processor_ms": value for part, value in found.items()}
    return report("one_picture", given, machine(), results, [])


if __name__ == "__main__":
    if not waiting_threads_sleep():  # as in the service; torch's OpenMP reads it when it is loaded, so anew
        let_waiting_threads_sleep()
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.one_picture", *sys.argv[1:]])
    sys.exit(main())
