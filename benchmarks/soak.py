"""Resident memory after 20,000 requests of every kind against that after 2,000.

Of each hundred requests sixty are scored, twenty localized with overlay and mask, ten carry a broken image, and ten are
refused (an unknown product, a body that is no form, a path that is not there).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from benchmarks.harness.connection import post, post_images
from benchmarks.harness.inputs import SIDE, pictures, served_folder
from benchmarks.harness.load import Tally, closed_loop, run
from benchmarks.harness.report import Bar, machine, options_of, report
from benchmarks.harness.service_process import ServiceProcess

GROWTH = 0.05
TENTHS = 10
EXPECTED = {200, 400, 404, 415}
MIB = 1 << 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 where the bar is met."""
    options = options_of(__doc__)
    options.add_argument("--requests", type=int, default=20_000, help="[20000]")
    options.add_argument("--clients", type=int, default=24, help="[24]")
    options.add_argument("--max-batch", type=int, default=16, help="[16]")
    given = options.parse_args(arguments)
    where = machine()
    results, bars = measure(given)
    return report("soak", given, where, results, bars)


def measure(given: argparse.Namespace) -> tuple[dict[str, object], list[Bar]]:
    """Ten tenths of the requests, the memory after each."""
    requests = mixture()
    memory: list[float] = []
    whole = Tally()
    with (
        served_folder(given.artifact) as (folder, artifact),
        ServiceProcess(folder, "--max-batch", str(given.max_batch)) as service,
    ):
        started = time.perf_counter()
        for number in range(TENTHS):
            count = given.requests // TENTHS
            turn = number * count % len(requests)
            part = run(closed_loop(service.port, requests[turn:] + requests[:turn], clients=given.clients, count=count))
            whole.answers += part.answers
            whole.unanswered += part.unanswered
            memory.append(service.resident_bytes() / MIB)
            print(f"{(number + 1) * count} requests: {memory[-1]:.1f} MiB, {time.perf_counter() - started:.0f} s")
    strange = sum(count for status, count in whole.statuses.items() if status not in EXPECTED)
    results: dict[str, object] = {
        "picture": f"PNG, RGB, {SIDE} px",
        "network_input_px": artifact.preprocessing.image_size,
        "requests": len(whole.answers),
        "statuses": whole.statuses,
        "resident_mib_after_each_tenth": [round(value, 1) for value in memory],
        "requests_per_s": round(len(whole.answers) / (time.perf_counter() - started), 1),
    }
    bars = [
        Bar("memory at the end against that after a tenth, less 1", abs(memory[-1] / memory[0] - 1), "<=", GROWTH),
        Bar("requests without an answer", len(whole.unanswered), "<=", 0),
        Bar("answers of another status than expected", strange, "<=", 0),
    ]
    return results, bars


def mixture() -> list[bytes]:
    """A hundred requests, kinds mixed evenly."""
    images = pictures(40)
    kinds = [post_images("/score", [images[number % 40]]) for number in range(60)]
    kinds += [post_images("/localize?overlay=true&mask=true", [images[number]]) for number in range(20)]
    kinds += [post_images("/score", [images[number][: 200 + 40 * number]]) for number in range(10)]
    kinds += [post_images("/score?product=nothing", [images[0]]) for _ in range(4)]
    kinds += [post("/score", b"no form at all", "multipart/form-data; boundary=x") for _ in range(3)]
    kinds += [post("/nowhere", b"", "text/plain"), post("/score", b"text", "text/plain"), post("/localize", b"", "a/b")]
    return [kinds[37 * number % 100] for number in range(100)]


if __name__ == "__main__":
    sys.exit(main())
