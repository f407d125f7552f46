"""The waiting images and the time in; the batch that leaves now, why, or how long to wait, out. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, Protocol

from service.engine.latency_model import LatencyModel
from service.engine.queued_image import QueuedImage
from service.errors import DeadlineExceeded

Reason = Literal["idle", "full", "waited", "deadline", "drain", "alone", "retry"]
NEVER = float("inf")


class Limit(Protocol):
    """The most a batch may hold at present (service.engine.batch_limit.BatchLimit)."""

    images: int
    pixels: int


@dataclass(frozen=True, slots=True)
class Batch:
    """At least one image, in order of arrival, and why they leave now."""

    images: list[QueuedImage]
    reason: Reason


def form_batch(
    queue: Sequence[QueuedImage],
    now: float,
    limit: Limit,
    latency: LatencyModel,
    *,
    wait_s: float,
    share: int,
    closed: bool,
) -> tuple[Batch | None, float | None]:
    """The batch that leaves now, or the seconds to wait for one (None: until an image comes).

    `queue` is in order of arrival; `share` is the most this device should take while others are idle too.
    """
    if not queue:
        return None, None
    if queue[0].alone:
        return Batch([queue[0]], "alone"), None
    count, pixels, reason = _prefix(queue, now, limit, latency, share)
    images = list(islice(queue, count))
    if reason != "idle":
        return Batch(images, reason), None
    if closed:
        return Batch(images, "drain"), None
    if not wait_s:
        return Batch(images, "idle"), None
    leave_at = min(image.submitted_at for image in images) + wait_s
    in_time = min(_deadline(image) for image in images) - latency.seconds(pixels)
    if now >= leave_at:
        return Batch(images, "waited"), None
    if now >= in_time:
        return Batch(images, "deadline"), None
    return None, min(leave_at, in_time) - now


def answer_if_late(image: QueuedImage, now: float, step_s: float) -> str | None:
    """Answers an image that is expired ("queue") or would be when a step of `step_s` ends ("hopeless"); else None."""
    if image.settled or image.deadline is None:
        return None
    if now >= image.deadline:
        return "queue" if image.expire() else None
    if now + step_s > image.deadline:
        error = DeadlineExceeded(f"the step takes {step_s:.3f} s and would end after the deadline")
        return "hopeless" if image.fail(error) else None
    return None


def _prefix(
    queue: Sequence[QueuedImage], now: float, limit: Limit, latency: LatencyModel, share: int
) -> tuple[int, int, Reason]:
    """How many of the first images fit together, their pixels, and what stopped it ("idle": nothing but the end)."""
    count, pixels, tightest = 0, 0, NEVER
    for image in queue:
        if count >= limit.images or (count and pixels + image.pixels > limit.pixels):
            return count, pixels, "full"
        if count >= share or image.alone:
            return count, pixels, "idle"
        tightest = min(tightest, _deadline(image))
        if count and tightest < NEVER and now + latency.seconds(pixels + image.pixels) > tightest:
            return count, pixels, "deadline"
        count += 1
        pixels += image.pixels
    return count, pixels, "full" if count >= limit.images else "idle"


def _deadline(image: QueuedImage) -> float:
    return NEVER if image.deadline is None else image.deadline
