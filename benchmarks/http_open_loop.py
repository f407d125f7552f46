"""Four times what the service can do, with deadlines: what it still gets done, and how it refuses the rest.

A closed loop of the same requests finds the peak, before and after. Then requests come at random times, far more than
can be served, whether or not earlier ones are answered. The client shares the machine with the service.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence

from benchmarks.harness.connection import post_images
from benchmarks.harness.inputs import SIDE, pictures, served_folder
from benchmarks.harness.load import Tally, closed_loop, open_loop, run
from benchmarks.harness.report import Bar, machine, options_of, report
from benchmarks.harness.service_process import ServiceProcess

SHARE_OF_PEAK = 0.95
REFUSALS = {429, 504}
GROWTH = 0.05  # of the resident memory, from the first ten seconds to the end
SETTLED_S = 5.0
DIFFERENT_IMAGES = 64
COUNTED = (
    *(f'mkd_rejections_total{{reason="{reason}"}}' for reason in ("images", "bytes", "wait", "queue")),
    *(f'mkd_expiries_total{{stage="{stage}"}}' for stage in ("queue", "hopeless", "device")),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 where every bar is met."""
    options = options_of(__doc__)
    options.add_argument("--overload", type=float, default=4.0, help="times the peak that is offered [4]")
    options.add_argument("--seconds", type=float, default=60.0, help="of overload [60]")
    options.add_argument("--peak-seconds", type=float, default=20.0, help="of each closed loop [20]")
    options.add_argument("--deadline-ms", type=int, default=2000, help="[2000]")
    options.add_argument("--images", type=int, default=1, help="images in a request [1]")
    options.add_argument("--clients", type=int, default=48, help="of the closed loop, in images [48]")
    options.add_argument("--max-batch", type=int, default=16, help="[16]")
    given = options.parse_args(arguments)
    where = machine()
    results, bars = measure(given)
    return report("http_open_loop", given, where, results, bars)


def measure(given: argparse.Namespace) -> tuple[dict[str, object], list[Bar]]:
    """Peak, overload, peak again."""
    images = pictures(DIFFERENT_IMAGES)
    groups = [images[start : start + given.images] for start in range(0, len(images), given.images)]
    patient = [post_images("/score", group) for group in groups]
    hasty = [post_images("/score", group, {"X-Deadline-Ms": str(given.deadline_ms)}) for group in groups]
    memory: list[int] = []
    with (
        served_folder(given.artifact) as (folder, artifact),
        ServiceProcess(folder, "--max-batch", str(given.max_batch)) as service,
    ):
        peaks = [peak_of(service, patient, given)]
        print(f"peak {peaks[0]:.2f} images/s; offering {given.overload:g} times as many for {given.seconds:g} s")
        before = costs(service)
        tally = run(
            open_loop(
                service.port,
                hasty,
                per_second=given.overload * peaks[0] / given.images,
                seconds=given.seconds,
                every_second=lambda: memory.append(service.resident_bytes()),
            )
        )
        spent = [(now - then) / given.seconds for now, then in zip(costs(service), before, strict=True)]
        counted = {name: service.metric(name) for name in COUNTED}
        images_per_step = service.metric("mkd_batch_images_sum") / service.metric("mkd_batch_images_count")
        peaks.append(peak_of(service, patient, given))
        ready = service.is_ready()
    results, bars = judged(given, tally, peaks, memory, ready)
    results |= {
        "network_input_px": artifact.preprocessing.image_size,
        "cores_used": {"service": round(spent[0], 2), "client": round(spent[1], 2)},
        "share_of_time_that_the_device_was_busy": round(spent[2], 3),
        "images_per_step_so_far": round(images_per_step, 2),
        "counted_by_the_service": {name.removeprefix("mkd_"): int(value) for name, value in counted.items() if value},
    }
    return results, bars


def costs(service: ServiceProcess) -> tuple[float, float, float]:
    """Seconds so far: the service's processor time, the client's, and those that the device was busy."""
    return (
        service.cpu_seconds(),
        time.process_time(),
        service.metric('mkd_device_busy_seconds_total{device="cpu"}'),
    )


def peak_of(service: ServiceProcess, requests: Sequence[bytes], given: argparse.Namespace) -> float:
    """Images a second of a closed loop."""
    clients = max(2, given.clients // given.images)
    tally = run(closed_loop(service.port, requests, clients=clients, seconds=given.peak_seconds))
    return tally.images_per_second(given.peak_seconds / 6, given.peak_seconds)


def judged(
    given: argparse.Namespace,
    tally: Tally,
    peaks: Sequence[float],
    memory: Sequence[int],
    ready: bool,
) -> tuple[dict[str, object], list[Bar]]:
    """Figures and bars."""
    within_s = given.deadline_ms / 1000
    accepted = sorted(seen.seconds for seen in tally.answers if seen.status == 200)
    refused = sorted(seen.seconds for seen in tally.answers if seen.status in REFUSALS)
    in_time = Tally([seen for seen in tally.answers if seen.status == 200 and seen.seconds <= within_s])
    goodput = in_time.images_per_second(SETTLED_S, given.seconds)
    p99 = accepted[int(0.99 * (len(accepted) - 1))]
    strange = sum(1 for seen in tally.answers if seen.status not in {200, *REFUSALS})
    warm = memory[min(10, len(memory) - 1)]
    growth = max(memory[min(10, len(memory) - 1) :]) / warm - 1
    results: dict[str, object] = {
        "picture": f"PNG, RGB, {SIDE} px",
        "peak_images_per_s": {"before": round(peaks[0], 2), "after": round(peaks[1], 2)},
        "offered_images_per_s": round(tally.sent * given.images / given.seconds, 2),
        "goodput_images_per_s": round(goodput, 2),
        "requests": {"sent": tally.sent, "answered": len(tally.answers), "unanswered": len(tally.unanswered)},
        "statuses": tally.statuses,
        "accepted_ms": {
            "p50": round(statistics.median(accepted) * 1000, 1),
            "p99": round(p99 * 1000, 1),
            "most": round(accepted[-1] * 1000, 1),
        },
        "refused_median_ms": round(statistics.median(refused) * 1000, 1) if refused else None,
        "resident_mib": {"after_10_s": warm >> 20, "most": max(memory) >> 20, "end": memory[-1] >> 20},
        "client_late_by_ms_at_worst": round(tally.late_s * 1000, 1),
        "ready_afterwards": ready,
    }
    bars = [
        Bar("goodput as a share of the peak (the higher of the two)", goodput / max(peaks), ">=", SHARE_OF_PEAK),
        Bar("p99 of accepted requests", p99 * 1000, "<=", given.deadline_ms, " ms"),
        Bar("answers that are neither 200 nor 429 nor 504", strange, "<=", 0),
        Bar("requests without an answer", len(tally.unanswered), "<=", 0),
        Bar("growth of resident memory after 10 s", growth, "<=", GROWTH),
        Bar("ready afterwards", float(ready), ">=", 1),
    ]
    return results, bars


if __name__ == "__main__":
    sys.exit(main())
