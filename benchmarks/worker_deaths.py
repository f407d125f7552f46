"""A worker killed ten times under load: whether every request is answered, and how soon the service is ready again."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Callable, Sequence

from benchmarks.harness.connection import post_images
from benchmarks.harness.inputs import pictures, served_folder
from benchmarks.harness.load import Tally, closed_loop
from benchmarks.harness.report import Bar, machine, options_of, report, spread
from benchmarks.harness.service_process import ServiceProcess

MORTAL = ("benchmarks.harness.mortal_service",)
DEATHS = 'mkd_worker_deaths_total{device="cpu"}'
READY_WITHIN_S = 5.0
PATIENCE_S = 60.0
SETTLE_S = 1.0
DOCUMENTED = {200, 429, 500, 503, 504}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 where every bar is met."""
    options = options_of(__doc__)
    options.add_argument("--deaths", type=int, default=10, help="[10]")
    options.add_argument("--clients", type=int, default=24, help="[24]")
    options.add_argument("--max-batch", type=int, default=16, help="[16]")
    given = options.parse_args(arguments)
    where = machine()
    results, bars = measure(given)
    return report("worker_deaths", given, where, results, bars)


def measure(given: argparse.Namespace) -> tuple[dict[str, object], list[Bar]]:
    """Load, deaths, and what became of the requests."""
    requests = [post_images("/score", [image]) for image in pictures(32)]
    with (
        served_folder(given.artifact) as (folder, _),
        ServiceProcess(folder, "--max-batch", str(given.max_batch), module=MORTAL) as service,
    ):
        tally, seconds = asyncio.run(deaths_under_load(service, requests, given.clients, given.deaths))
    strange = sum(count for status, count in tally.statuses.items() if status not in DOCUMENTED)
    results: dict[str, object] = {
        "requests": {"sent": tally.sent, "answered": len(tally.answers)},
        "statuses": tally.statuses,
        "seconds_from_order_to_ready": spread(seconds),
    }
    bars = [
        Bar("requests without an answer", len(tally.unanswered), "<=", 0),
        Bar("answers of an undocumented status", strange, "<=", 0),
        Bar("ready again, the slowest of all deaths", max(seconds), "<=", READY_WITHIN_S, " s"),
    ]
    return results, bars


async def deaths_under_load(
    service: ServiceProcess, requests: Sequence[bytes], clients: int, deaths: int
) -> tuple[Tally, list[float]]:
    """Kills the worker `deaths` times, each time once it is ready; what clients on_verdict, seconds from order to
    ready."""
    over = asyncio.Event()
    load = asyncio.create_task(closed_loop(service.port, requests, clients=clients, until=over.is_set))
    seconds = []
    try:
        await asyncio.sleep(SETTLE_S)
        for number in range(deaths):
            ordered = time.monotonic()
            service.signal(signal.SIGUSR1)
            await until(lambda: service.metric(DEATHS) > number)  # noqa: B023
            await until(service.is_ready)
            seconds.append(time.monotonic() - ordered)
    finally:
        over.set()
        tally = await load
    return tally, seconds


async def until(holds: Callable[[], bool]) -> None:
    """Wait until `holds()`, which may block, is true; raises TimeoutError after PATIENCE_S."""
    async with asyncio.timeout(PATIENCE_S):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main())
