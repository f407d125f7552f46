"""Images a second through HTTP against the bare detector at the same batch size, in one interleaved run.

Three things take turns, in alternating order: the detector alone (a process of its own, same engine and threads); HTTP
requests of a whole batch of images each, from a few clients; HTTP requests of one image each, from many clients. All
share the machine with the client, whose cost counts against the service.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence

from benchmarks.harness.bare import BareDetector
from benchmarks.harness.connection import post_images
from benchmarks.harness.inputs import SIDE, pictures, served_folder
from benchmarks.harness.load import Tally, closed_loop, run
from benchmarks.harness.report import Bar, machine, options_of, report, spread
from benchmarks.harness.service_process import ServiceProcess
from service.run.settings import Settings, thread_counts

SHARE_OF_BARE = 0.9
REQUESTS = 8  # different ones


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 where the bar is met."""
    options = options_of(__doc__)
    options.add_argument("--batch", type=int, default=16, help="images in a batch at most, and in a request [16]")
    options.add_argument("--clients", type=int, default=3, help="clients that send whole batches [3]")
    options.add_argument("--single-clients", type=int, default=48, help="clients that send one image each [48]")
    options.add_argument("--rounds", type=int, default=5, help="[5]")
    options.add_argument("--seconds", type=float, default=12.0, help="of each turn [12]")
    options.add_argument("--backend", choices=("auto", "torch", "ncnn", "winograd"), default="auto", help="[auto]")
    options.add_argument("--path", choices=("/score", "/localize"), default="/score", help="[/score]")
    given = options.parse_args(arguments)
    where = machine()
    results, bars = measure(given)
    return report(
        "http_closed_loop" if given.path == "/score" else "http_closed_loop_maps", given, where, results, bars
    )


def measure(given: argparse.Namespace) -> tuple[dict[str, object], list[Bar]]:
    """All rounds."""
    images = pictures(REQUESTS * given.batch)
    batches = [post_images(given.path, images[start::REQUESTS]) for start in range(REQUESTS)]
    singles = [post_images(given.path, [image]) for image in images]
    threads = thread_counts(Settings(), on_cpu=True)
    with (
        served_folder(given.artifact) as (folder, artifact),
        BareDetector(
            artifact.path, batch=given.batch, threads=threads.torch, engine=given.backend, maps=given.path != "/score"
        ) as bare,
        ServiceProcess(
            folder, "--max-batch", str(given.batch), "--backend", given.backend, "--max-wait-s", "0"
        ) as service,
    ):
        turns = {
            "bare": lambda: bare.images_per_second(given.seconds),
            "batches": lambda: through_http(service, batches, given.clients, given.seconds),
            "singles": lambda: through_http(service, singles, given.single_clients, given.seconds),
        }
        rates: dict[str, list[float]] = {name: [] for name in turns}
        steps: dict[str, float] = {}
        cpu: dict[str, list[float]] = {"batches": [], "singles": []}
        client: dict[str, list[float]] = {"batches": [], "singles": []}
        for number in range(given.rounds):
            for name in list(turns) if number % 2 == 0 else reversed(turns):
                before, busy, asking = batch_count(service), service.cpu_seconds(), time.process_time()
                rates[name].append(turns[name]())
                after = batch_count(service)
                if name != "bare":
                    steps[name] = (after[0] - before[0]) / max(1.0, after[1] - before[1])
                    judged = max(1.0, after[0] - before[0])
                    cpu[name].append((service.cpu_seconds() - busy) / judged * 1000)
                    client[name].append((time.process_time() - asking) / judged * 1000)
            print(f"round {number + 1}: " + ", ".join(f"{name} {found[-1]:.2f}/s" for name, found in rates.items()))
    ratios = {name: [http / alone for http, alone in zip(rates[name], rates["bare"], strict=True)] for name in cpu}
    results: dict[str, object] = {
        "picture": f"PNG, RGB, {SIDE} px, {statistics.median(map(len, images)):.0f} bytes",
        "network_input_px": artifact.preprocessing.image_size,
        "threads": {"network": threads.torch, "decode": threads.decode},
        "bare_images_per_s": spread(rates["bare"]),
    }
    for name in cpu:
        results[f"{name}_images_per_s"] = spread(rates[name])
        results[f"{name}_share_of_bare"] = spread(ratios[name])
        results[f"{name}_images_per_step"] = round(steps[name], 2)
        results[f"{name}_service_cpu_ms_per_image"] = spread(cpu[name])
        results[f"{name}_client_cpu_ms_per_image"] = spread(client[name])
    bars = [
        Bar(f"HTTP ({name}) as a share of the bare detector", statistics.median(found), ">=", SHARE_OF_BARE)
        for name, found in ratios.items()
    ]
    return results, bars


def through_http(service: ServiceProcess, requests: Sequence[bytes], clients: int, seconds: float) -> float:
    """Images a second of a closed loop, its first sixth left out; raises where anything was not judged."""
    tally = run(closed_loop(service.port, requests, clients=clients, seconds=seconds))
    check(tally)
    return tally.images_per_second(seconds / 6, seconds)


def check(tally: Tally) -> None:
    """A rate of refusals would be a fine figure."""
    if tally.unanswered or set(tally.statuses) != {200} or not all(seen.verdicts for seen in tally.answers):
        raise RuntimeError(f"not every request was judged: {tally.statuses}, {tally.unanswered[:3]}")


def batch_count(service: ServiceProcess) -> tuple[float, float]:
    """Images and device steps so far."""
    return service.metric("mkd_batch_images_sum"), service.metric("mkd_batch_images_count")


if __name__ == "__main__":
    sys.exit(main())
