"""Four times what the service can do, with and without one hostile client in a hundred: what is left of the verdicts.

A closed loop finds the peak. Then rounds of an open loop take turns: the same requests at random times, without and
with hostile clients beside them. These are as many as every hundredth request, each of the next kind in turn (slow
heads and bodies, bodies that are announced, answers that are not read, broken HTTP, costly JSON, connections that ask
again at once); each stays for as long as the service lets it, at most `--stay-s`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import sys
from collections.abc import Iterator, Sequence

from benchmarks.harness import hostile
from benchmarks.harness.connection import post_images
from benchmarks.harness.inputs import pictures, served_folder
from benchmarks.harness.load import Tally, closed_loop, open_loop, run
from benchmarks.harness.report import Bar, machine, options_of, report, spread
from benchmarks.harness.service_process import ServiceProcess

SHARE = 0.9
CLIENTS, MAX_BATCH = 48, 16


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 where the bar is met."""
    options = options_of(__doc__)
    options.add_argument("--overload", type=float, default=4.0, help="times the peak that is offered [4]")
    options.add_argument("--hostile", type=float, default=0.01, help="share of hostile clients [0.01]")
    options.add_argument("--rounds", type=int, default=5, help="with and without, each [5]")
    options.add_argument("--seconds", type=float, default=20.0, help="of each turn [20]")
    options.add_argument("--stay-s", type=float, default=10.0, help="for which a hostile client stays at most [10]")
    options.add_argument("--deadline-ms", type=int, default=2000, help="[2000]")
    given = options.parse_args(arguments)
    where = machine()
    images = pictures(64)
    patient = [post_images("/score", [image]) for image in images]
    hasty = [post_images("/score", [image], {"X-Deadline-Ms": str(given.deadline_ms)}) for image in images]
    goodput: dict[str, list[float]] = {"without": [], "with": []}
    statuses: dict[str, list[dict[int, int]]] = {"without": [], "with": []}
    with (
        served_folder(given.artifact) as (folder, artifact),
        ServiceProcess(folder, "--max-batch", str(MAX_BATCH)) as service,
    ):
        kinds = itertools.cycle(hostile.KINDS)
        target = hostile.Target(service.port, artifact.manifest.product, images[:6], impatient=1)
        peak = run(closed_loop(service.port, patient, clients=CLIENTS, seconds=given.seconds))
        rate = given.overload * peak.images_per_second(given.seconds / 4, given.seconds)
        print(f"offering {rate:.0f} requests a second", flush=True)
        for number in range(given.rounds):
            for name in list(goodput) if number % 2 == 0 else reversed(goodput):
                share = given.hostile if name == "with" else 0.0
                tally = run(overload(target, hasty, rate, share, kinds, given))
                goodput[name].append(tally.images_per_second(given.seconds / 6, given.seconds))
                statuses[name].append(tally.statuses)
            print(f"round {number + 1}: " + ", ".join(f"{name} {found[-1]:.2f}/s" for name, found in goodput.items()))
        ready = service.is_ready()
    shares = [one / other for one, other in zip(goodput["with"], goodput["without"], strict=True)]
    results: dict[str, object] = {f"verdicts_per_s_{name}": spread(found) for name, found in goodput.items()}
    results |= {f"statuses_{name}": found for name, found in statuses.items()}
    results |= {"offered_per_s": round(rate, 1), "share": spread(shares), "ready_at_the_end": ready}
    bars = [Bar("verdicts with hostile clients, of those without", statistics.median(shares), ">=", SHARE)]
    return report("hostile_clients", given, where, results, bars)


async def overload(
    target: hostile.Target,
    requests: Sequence[bytes],
    rate: float,
    share: float,
    kinds: Iterator[str],
    given: argparse.Namespace,
) -> Tally:
    """The open loop, with as many hostile clients beside it as `share` of its requests."""
    strangers = asyncio.create_task(come(target, kinds, share * rate, given.stay_s)) if share else None
    tally = await open_loop(target.port, requests, per_second=rate, seconds=given.seconds)
    if strangers is not None:
        strangers.cancel()
        await asyncio.gather(strangers, return_exceptions=True)
    return tally


async def come(target: hostile.Target, kinds: Iterator[str], per_second: float, stay_s: float) -> None:
    """One after the other, each kind in its turn, until this is cancelled."""
    async with asyncio.TaskGroup() as group:
        for kind in kinds:
            group.create_task(hostile.play(kind, target, stay_s))
            await asyncio.sleep(1 / per_second)


if __name__ == "__main__":
    sys.exit(main())
