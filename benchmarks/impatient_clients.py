"""Verdicts a second under clients that ask again at once after each refusal, beside those that the service can hold.

Two things take turns: `patient`, as many clients as there is room for, none of which is refused; and `impatient`, many
more that never wait. The client's own cost is part of it, as both share the machine. On a machine that others use as
well, the verdicts of a second of CPU time (service and client) tell more than those of a second.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence

from benchmarks.harness.connection import post_images
from benchmarks.harness.inputs import pictures, served_folder
from benchmarks.harness.load import Tally, closed_loop, run
from benchmarks.harness.report import Bar, machine, options_of, report, spread
from benchmarks.harness.service_process import ServiceProcess

SHARE_OF_PATIENT = 0.9


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 where the bar is met."""
    options = options_of(__doc__)
    options.add_argument("--room", type=int, default=24, help="images in flight at most, and patient clients [24]")
    options.add_argument("--clients", type=int, default=64, help="impatient clients [64]")
    options.add_argument("--rounds", type=int, default=5, help="[5]")
    options.add_argument("--seconds", type=float, default=15.0, help="of each turn [15]")
    given = options.parse_args(arguments)
    where = machine()
    requests = [post_images("/score", [image]) for image in pictures(64)]
    rates: dict[str, list[float]] = {"patient": [], "impatient": []}
    per_cpu: dict[str, list[float]] = {"patient": [], "impatient": []}
    refusals: list[float] = []
    flags = ("--max-waiting-images", str(given.room), "--max-images", "1", "--max-batch", "4", "--max-wait-s", "0")
    with served_folder(given.artifact) as (folder, _), ServiceProcess(folder, *flags) as service:
        run(closed_loop(service.port, requests, clients=given.room, seconds=given.seconds / 2))
        for number in range(given.rounds):
            for name in list(rates) if number % 2 == 0 else reversed(rates):
                clients = given.room if name == "patient" else given.clients
                busy = service.cpu_seconds() + time.process_time()
                tally = run(closed_loop(service.port, requests, clients=clients, seconds=given.seconds))
                busy = service.cpu_seconds() + time.process_time() - busy
                per_cpu[name].append(tally.statuses.get(200, 0) / busy)
                rates[name].append(tally.images_per_second(given.seconds / 6, given.seconds))
                if name == "impatient":
                    refusals.append(tally.statuses.get(429, 0) / given.seconds)
                check(tally)
            print(f"round {number + 1}: " + ", ".join(f"{name} {found[-1]:.2f}/s" for name, found in rates.items()))
    shares = [many / few for many, few in zip(rates["impatient"], rates["patient"], strict=True)]
    results: dict[str, object] = {f"{name}_images_per_s": spread(found) for name, found in rates.items()}
    results |= {f"{name}_images_per_cpu_s": spread(found) for name, found in per_cpu.items()}
    results["impatient_share_of_patient"] = spread(shares)
    results["refusals_per_s"] = spread(refusals)
    bars = [Bar("goodput under impatient clients", statistics.median(shares), ">=", SHARE_OF_PATIENT)]
    return report("impatient_clients", given, where, results, bars)


def check(tally: Tally) -> None:
    """Everybody gets a verdict or a refusal."""
    if tally.unanswered or not set(tally.statuses) <= {200, 429}:
        raise RuntimeError(f"not every request was answered: {tally.statuses}, {tally.unanswered[:3]}")


if __name__ == "__main__":
    sys.exit(main())
