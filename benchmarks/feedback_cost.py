"""What the feedback store costs for each verdict: on the event loop, in processor time, and for pages that listen.

Verdicts come at a steady rate, as from a line, with a PNG each; some are REVIEW or NG, so that their pictures are kept.
The event loop's share is the time that it is held by the observer. The processor time is that of the whole process, the
storing thread and the disk's calls included, less that of the same loop without a store. Pages are listeners of the hub
of /events in this process, without the network between.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from benchmarks.harness.inputs import pictures
from benchmarks.harness.report import Bar, machine, options_of, report
from models.calibration.conformal import Threshold, Thresholds
from service.feedback.access import FeedbackAccess
from service.feedback.observer import FeedbackObserver
from service.feedback.rows import VerdictFilter
from service.feedback.settings import FeedbackSettings
from service.inspection.context import InspectionContext, LineContext
from service.inspection.observers import Picture
from service.inspection.verdict import StageTimes, Verdict
from service.metrics import Metrics
from service.rest.event_hub import EventHub
from service.shutdown_flag import ShutdownFlag

IMAGE_MS = 25.0  # of a core, for a part at the fastest that this service judges on a core: what the cost is a share of
MOST_SHARE = 0.02


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 where the bars are met."""
    options = options_of(__doc__)
    options.add_argument("--rate", type=float, default=100.0, help="verdicts a second [100]")
    options.add_argument("--seconds", type=float, default=10.0, help="of each of the three runs [10]")
    options.add_argument(
        "--kept", type=float, default=0.07, help="share of REVIEW and NG, whose pictures are kept [0.07]"
    )
    options.add_argument("--pages", type=int, default=10, help="that listen in the third run [10]")
    given = options.parse_args(arguments)
    where = machine()
    parts = int(given.rate * given.seconds)
    made = [judged(number, data, given.kept) for number, data in zip(range(parts), cycle(parts), strict=True)]
    without = asyncio.run(run(made, given.rate, stores=False, pages=0))
    stored = asyncio.run(run(made, given.rate, stores=True, pages=0))
    listened = asyncio.run(run(made, given.rate, stores=True, pages=given.pages))
    cost_ms = stored["cpu_ms"] - without["cpu_ms"]
    pages_ms = listened["cpu_ms"] - stored["cpu_ms"]
    results = {
        "loop_held_us_median": stored["held_us"],
        "loop_held_us_p99": stored["held_us_p99"],
        "processor_ms_a_verdict": round(cost_ms, 3),
        f"processor_ms_a_verdict_for_{given.pages}_pages": round(pages_ms, 3),
        "verdicts_stored": stored["stored"],
        "verdicts_dropped": stored["dropped"],
        "events_sent": listened["events"],
    }
    bars = [
        Bar("all verdicts are stored", stored["stored"] / parts, ">=", 1.0),
        Bar("storing, as a share of judging a part", cost_ms / IMAGE_MS, "<=", MOST_SHARE),
        Bar(f"{given.pages} pages, as a share of judging a part", pages_ms / IMAGE_MS, "<=", MOST_SHARE),
        Bar("every page is told of every verdict", listened["events"] / (parts * given.pages), ">=", 1.0),
    ]
    return report("feedback_cost", given, where, results, bars)


def cycle(count: int) -> list[bytes]:
    """So many PNG files, of which 64 differ."""
    files = pictures(64)
    return [files[number % len(files)] for number in range(count)]


def judged(number: int, data: bytes, kept: float) -> tuple[Verdict, Picture]:
    """A verdict and what an observer is told with it."""
    is_kept = (number * kept) % 1 < kept
    context = InspectionContext(f"{number:032x}", "rest", LineContext("7", "left", str(number)))
    verdict = Verdict(
        index=0,
        name="part.png",
        product="brick",
        version="1",
        method="mkd",
        hash="ab" * 32,
        score=2.0 if is_kept else 0.5,
        p_value=0.01 if is_kept else 0.5,
        thresholds=Thresholds(Threshold(0.9, 0.05, 0.05, ""), Threshold(1.0, 0.01, 0.01, "")),
        decision="NG" if is_kept else "OK",
        decided_by=None,
        width=128,
        height=128,
        size_seen=None,
        times=StageTimes(),
        pictures=None,
    )
    return verdict, Picture(cast("object", None), data, cast("object", None), context, time.time())  # type: ignore[arg-type]


async def run(made: Sequence[tuple[Verdict, Picture]], rate: float, *, stores: bool, pages: int) -> dict[str, float]:
    """Verdicts at the rate; what one has cost."""
    metrics = Metrics()
    with tempfile.TemporaryDirectory(prefix="mkd-bench-") as folder:
        observer = FeedbackObserver(FeedbackSettings(folder=Path(folder), spot_check_share=0.02), metrics)
        if stores:
            observer.start()
        access = FeedbackAccess(observer.store, metrics)
        hub = EventHub(access, lambda _: {}, ShutdownFlag(), metrics)
        teller = asyncio.create_task(hub.run())
        counts = [0] * pages
        listeners = [asyncio.create_task(listen(hub, counts, number)) for number in range(pages)]
        await asyncio.sleep(1.0)
        held: list[float] = []
        cpu_before, began = time.process_time(), time.monotonic()
        for number, (verdict, picture) in enumerate(made):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            before = time.perf_counter()
            if stores:
                observer.on_verdict(verdict, picture)
            held.append(time.perf_counter() - before)
        await asyncio.sleep(1.5)  # for what waits
        cpu_s = time.process_time() - cpu_before
        for task in (teller, *listeners):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await asyncio.to_thread(observer.stop)
        access.close()
    held.sort()
    return {
        "held_us": round(1e6 * statistics.median(held), 1),
        "held_us_p99": round(1e6 * held[int(0.99 * len(held))], 1),
        "cpu_ms": 1000 * cpu_s / len(made),
        "stored": metrics.value("mkd_feedback_verdicts_total", outcome="stored"),
        "dropped": metrics.value("mkd_feedback_verdicts_total", outcome="dropped"),
        "events": float(sum(counts)),
    }


async def listen(hub: EventHub, counts: list[int], number: int) -> None:
    """Count the verdicts that a page is told of."""
    async for chunk in await hub.listen(VerdictFilter(), None):
        counts[number] += chunk.count(b"event: verdict\n")


if __name__ == "__main__":
    sys.exit(main())
