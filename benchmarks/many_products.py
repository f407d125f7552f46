"""Fifty products in one mixed stream against one product alone, and the memory of each further product.

The products share one source; each has a cloner of its own. The stream is of single images, so a batch holds nearly as
many products as images: the worst case for the heads. Both streams take turns on the same service.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.harness.connection import post_images
from benchmarks.harness.copies import write_copies
from benchmarks.harness.inputs import SIDE, pictures, served_folder
from benchmarks.harness.load import closed_loop, run
from benchmarks.harness.report import Bar, machine, options_of, report, spread
from benchmarks.harness.service_process import ServiceProcess
from benchmarks.http_closed_loop import batch_count, check
from models.artifact import Artifact

SHARE_OF_ONE = 0.85
MOST_MIB = 5.0
MIB = 1 << 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 where every bar is met."""
    options = options_of(__doc__)
    options.add_argument("--products", type=int, default=50, help="[50]")
    options.add_argument("--rounds", type=int, default=5, help="[5]")
    options.add_argument("--seconds", type=float, default=12.0, help="of each turn [12]")
    options.add_argument("--clients", type=int, default=48, help="[48]")
    options.add_argument("--max-batch", type=int, default=16, help="[16]")
    given = options.parse_args(arguments)
    where = machine()
    with served_folder(given.artifact) as (_, artifact), TemporaryDirectory(prefix="mkd-many-") as name:
        results, bars = measure(given, artifact, Path(name))
    return report("many_products", given, where, results, bars)


def measure(given: argparse.Namespace, artifact: Artifact, root: Path) -> tuple[dict[str, object], list[Bar]]:
    """A service of one product for its memory, then one of all products for memory and throughput."""
    write_copies(artifact, root / "one", 1)
    names = write_copies(artifact, root / "all", given.products)
    images = pictures(given.products)
    mixed = [post_images(f"/score?product={product}", [image]) for product, image in zip(names, images, strict=True)]
    alone = [post_images(f"/score?product={names[0]}", [image]) for image in images]
    flags = ("--max-batch", str(given.max_batch))
    with ServiceProcess(root / "one", *flags) as service:
        rate(service, alone, given)
        memory_of_one = service.resident_bytes()
    rates: dict[str, list[float]] = {"one": [], "mixed": []}
    steps: dict[str, float] = {}
    with ServiceProcess(root / "all", *flags) as service:
        rate(service, alone, given)
        memory_of_all = service.resident_bytes()
        head_bytes = service.metric("mkd_head_bytes")
        for number in range(given.rounds):
            turns = {"one": alone, "mixed": mixed}
            for name in list(turns) if number % 2 == 0 else reversed(turns):
                before = batch_count(service)
                rates[name].append(rate(service, turns[name], given))
                after = batch_count(service)
                steps[name] = (after[0] - before[0]) / max(1.0, after[1] - before[1])
            print(f"round {number + 1}: one {rates['one'][-1]:.2f}/s, mixed {rates['mixed'][-1]:.2f}/s")
        memory_after = service.resident_bytes()
        ready_after_s = service.ready_after_s
    shares = [mixed_ / one for mixed_, one in zip(rates["mixed"], rates["one"], strict=True)]
    further = (memory_of_all - memory_of_one) / (given.products - 1) / MIB
    results: dict[str, object] = {
        "picture": f"PNG, RGB, {SIDE} px",
        "network_input_px": artifact.preprocessing.image_size,
        "one_product_images_per_s": spread(rates["one"]),
        "mixed_images_per_s": spread(rates["mixed"]),
        "mixed_share_of_one": spread(shares),
        "images_per_step": {name: round(value, 2) for name, value in steps.items()},
        "resident_mib": {
            "one_product": memory_of_one // MIB,
            "all_products": memory_of_all // MIB,
            "all_products_after_the_mixed_stream": memory_after // MIB,
        },
        "mib_per_further_product": round(further, 3),
        "head_mib_by_the_metric": round(head_bytes / given.products / MIB, 3),
        "ready_after_s_with_all": round(ready_after_s, 1),
    }
    bars = [
        Bar("mixed stream as a share of one product", statistics.median(shares), ">=", SHARE_OF_ONE),
        Bar("memory of each further product", further, "<=", MOST_MIB, " MiB"),
    ]
    return results, bars


def rate(service: ServiceProcess, requests: Sequence[bytes], given: argparse.Namespace) -> float:
    """Images a second of a closed loop, its first sixth left out."""
    tally = run(closed_loop(service.port, requests, clients=given.clients, seconds=given.seconds))
    check(tally)
    return tally.images_per_second(given.seconds / 6, given.seconds)


if __name__ == "__main__":
    sys.exit(main())
