"""The machine's measured matrix rate, and what share of it the source pass reaches, by backend, in turns.

A pass counts with the operations of plain 3x3 convolutions. Winograd's algorithms need fewer multiplications, F(4,3) a
quarter, so a backend that uses them can pass 100 %; the second share counts every convolution as F(4,3). The backend
`bfloat16` is held against the matrix rate in bfloat16.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import torch

from benchmarks.harness.backends import CPU_BACKENDS, built
from benchmarks.harness.inputs import served_folder
from benchmarks.harness.report import machine, options_of, report
from models.backends.base import SourceKey
from models.sources.network import multiply_adds
from models.sources.registry import SourceSpec, spec_of
from service.machine.openmp import let_waiting_threads_sleep
from service.run.settings import Settings, thread_counts

SIDE = 2048  # of the matrices
BATCH = 16
WINOGRAD = 4.0  # fewer multiplications by F(4,3)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure."""
    let_waiting_threads_sleep()
    options = options_of(__doc__)
    options.add_argument("--rounds", type=int, default=5, help="[5]")
    given = options.parse_args(arguments)
    where = machine()
    return report("roofline", given, where, measure(given), ())  # it promises nothing


def measure(given: argparse.Namespace) -> dict[str, object]:
    """Matrix rate and source passes in turns."""
    threads = thread_counts(Settings(), on_cpu=True).torch
    torch.set_num_threads(threads)
    left, right = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
    half_left, half_right = left.bfloat16(), right.bfloat16()
    with served_folder(given.artifact) as (_, artifact):
        side = artifact.preprocessing.image_size
        runs: dict[str, Callable[[], object]] = {
            "matrix": lambda: left @ right,
            "matrix in bfloat16": lambda: half_left @ half_right,
        }
        images = torch.rand(BATCH, 3, side, side)
        for name in CPU_BACKENDS:
            if (run := source_pass(name, threads, artifact.source, images)) is not None:
                runs[name] = run
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for number in range(given.rounds + 1):
            for name, run in runs.items():
                started = time.perf_counter()
                run()
                if number:  # the first round warms up
                    seconds[name].append(time.perf_counter() - started)
    middle = {name: statistics.median(found) for name, found in seconds.items()}
    matrix = 2 * SIDE**3 / middle.pop("matrix") / 1e9
    half = 2 * SIDE**3 / middle.pop("matrix in bfloat16") / 1e9
    work = operations(spec_of(artifact.source.source), side)
    rates = {name: BATCH * work / spent / 1e9 for name, spent in middle.items()}
    shares = {name: rate / (half if name == "bfloat16" else matrix) for name, rate in rates.items()}
    return {
        "network_input_px": side,
        "threads": threads,
        "matrix_gflops": round(matrix, 1),
        "bfloat16_matrix_gflops": round(half, 1),
        "source_gflop_per_image": round(work / 1e9, 2),
        "source_ms_per_image": {name: round(spent / BATCH * 1000, 1) for name, spent in middle.items()},
        "source_gflops": {name: round(rate, 1) for name, rate in rates.items()},
        "share_of_matrix_rate": {name: round(share, 2) for name, share in shares.items()},
        "share_counted_as_winograd": {name: round(share / WINOGRAD, 2) for name, share in shares.items()},
    }


def source_pass(name: str, threads: int, key: SourceKey, images: torch.Tensor) -> Callable[[], object] | None:
    """One pass over the images by that backend; None where it is not installed."""
    try:
        pool, source = built(name, key, threads)
    except (ImportError, ValueError):
        return None
    return lambda: pool[source].activations(images)


def operations(source: SourceSpec, side: int) -> int:
    """Multiplications and additions of the source's convolutions on one image of that side."""
    return 2 * max(multiply_adds(source, side).values())


if __name__ == "__main__":
    sys.exit(main())
