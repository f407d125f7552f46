"""The waiting jobs and the time in; the batch that leaves now, why, or how long to wait, out. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, Protocol

from service.engine.latency_model import LatencyModel
from service.engine.queued_image import Job
from service.errors import DeadlineExceeded

Reason = Literal["idle", "full", "waited", "deadline", "drain", "alone", "retry"]
NEVER = float("inf")


class Limit(Protocol):
    """The most a batch may hold at present (service.engine.batch_limit.BatchLimit)."""

    images: int
    pixels: int


@dataclass(frozen=True, slots=True)
class Batch:
    """At least one job, in order of arrival, and why they leave now."""

    jobs: list[Job]
    reason: Reason


def form_batch(
    queue: Sequence[Job], now: float, limit: Limit, pace: LatencyModel, *, wait_s: float, share: int, closed: bool
) -> tuple[Batch | None, float | None]:
    """The batch that leaves now, or the seconds to wait for one (None: until a job comes).

    `queue` is in order of arrival; `share` is the most this device should take while others are idle too.
    """
    if not queue:
        return None, None
    if queue[0].alone:
        return Batch([queue[0]], "alone"), None
    count, pixels, reason = _prefix(queue, now, limit, pace, share)
    jobs = list(islice(queue, count))
    if reason != "idle":
        return Batch(jobs, reason), None
    if closed:
        return Batch(jobs, "drain"), None
    if not wait_s:
        return Batch(jobs, "idle"), None
    leave_at = min(job.submitted_at for job in jobs) + wait_s
    in_time = min(_deadline(job) for job in jobs) - pace.seconds(pixels)
    if now >= leave_at:
        return Batch(jobs, "waited"), None
    if now >= in_time:
        return Batch(jobs, "deadline"), None
    return None, min(leave_at, in_time) - now


def answer_if_late(job: Job, now: float, step_s: float) -> str | None:
    """Answers a job that is expired ("queue") or would be when a step of `step_s` ends ("hopeless"); else None."""
    if job.settled or job.deadline is None:
        return None
    if now >= job.deadline:
        return "queue" if job.expire() else None
    if now + step_s > job.deadline:
        error = DeadlineExceeded(f"the step takes {step_s:.3f} s and would end after the deadline")
        return "hopeless" if job.fail(error) else None
    return None


def _prefix(queue: Sequence[Job], now: float, limit: Limit, pace: LatencyModel, share: int) -> tuple[int, int, Reason]:
    """How many of the first jobs fit together, their pixels, and what stopped it ("idle": nothing but the end)."""
    count, pixels, tightest = 0, 0, NEVER
    for job in queue:
        if count >= limit.images or (count and pixels + job.pixels > limit.pixels):
            return count, pixels, "full"
        if count >= share or job.alone:
            return count, pixels, "idle"
        tightest = min(tightest, _deadline(job))
        if count and tightest < NEVER and now + pace.seconds(pixels + job.pixels) > tightest:
            return count, pixels, "deadline"
        count += 1
        pixels += job.pixels
    return count, pixels, "full" if count >= limit.images else "idle"


def _deadline(job: Job) -> float:
    return NEVER if job.deadline is None else job.deadline
