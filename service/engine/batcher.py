"""Single images in, batches out, never later than the device is free. Pure logic: no torch, no HTTP, any clock.

Work-conserving: an idle device gets what there is at once; what arrives while it is busy piles up and leaves together.
With `wait_s` an idle device waits that long for more, counted from the first image. A batch is bounded by count and by
pixels. What is expired, or would be by the time the step ends, is answered here and never reaches the device.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from service.engine.forming import Batch, Limit, answer_if_late, form_batch
from service.engine.latency_model import LatencyModel
from service.engine.queued_image import QueuedImage
from service.errors import Overloaded, ServiceError, ShuttingDown

Dropped = Callable[[str, list[QueuedImage]], None]  # ("queue" or "hopeless", answered images); called without the lock


@dataclass(frozen=True, slots=True)
class MaintenanceTask:
    """Work for one device between two batches, such as verifying an artifact: `run` gets the device's runner."""

    run: Callable[[Any], None]
    done: Future[None]

    def end(self, error: BaseException | None = None) -> None:
        """Tell whoever waits; a second end, of a worker that was given up and came back, is ignored."""
        with suppress(InvalidStateError):
            if error is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(error)


@dataclass(frozen=True, slots=True)
class _Look:
    """What a look at the queue found: a batch, images that were dropped, or how long to wait (None: for an image)."""

    batch: Batch | None
    dropped: list[tuple[str, QueuedImage]]
    wait_s: float | None = None


class Batcher:
    """The queue between all callers and all workers. Thread-safe. `clock` and `wait` go together."""

    def __init__(
        self,
        *,
        max_queued: int,
        wait_s: float,
        latency: LatencyModel,
        dropped: Dropped,
        clock: Callable[[], float],
        depth: Callable[[int], None] = lambda _: None,
        wait: Callable[[threading.Condition, float | None], object] = threading.Condition.wait,
    ) -> None:
        self._queue: deque[QueuedImage] = deque()
        self._tasks: dict[str, deque[MaintenanceTask]] = {}
        self._changed = threading.Condition()
        self._max_queued = max_queued
        self._wait_s = wait_s
        self._latency = latency
        self._dropped = dropped
        self._depth = depth
        self._clock = clock
        self._wait = wait
        self._closed = False
        self._idle_takers = 0

    @property
    def closed(self) -> bool:
        return self._closed

    def __len__(self) -> int:
        return len(self._queue)

    def submit(self, images: Sequence[QueuedImage]) -> None:
        """Queue all of `images` or none. Raises Overloaded or ShuttingDown."""
        with self._changed:
            if self._closed:
                raise ShuttingDown("the service is shutting down", retry_after=5.0)
            if len(self._queue) + len(images) > self._max_queued:
                rate = self._latency.images_per_second()
                wait_s = len(self._queue) / rate if rate else 1.0
                raise Overloaded(f"{len(self._queue)} images wait for the device already", retry_after=wait_s)
            now = self._clock()
            for image in images:
                image.submitted_at = now
            self._queue.extend(images)
            self._announce()

    def requeue(self, images: Iterable[QueuedImage]) -> None:
        """Back to the front, in order, each for a batch of its own: they were in hand when a worker died."""
        with self._changed:
            for image in images:
                image.alone = True
            self._queue.extendleft(reversed(list(images)))
            self._announce()

    def discard(self, images: Iterable[QueuedImage]) -> int:
        """Take answered images out of the queue; returns how many were still in it."""
        gone = {id(image) for image in images}
        with self._changed:
            before = len(self._queue)
            self._queue = deque(image for image in self._queue if id(image) not in gone)
            self._announce()
            return before - len(self._queue)

    def add_task(self, device: str, run: Callable[[Any], None]) -> Future[None]:
        """`run` is called by the device's worker after its present step; the future carries its end or its error."""
        task = MaintenanceTask(run, Future())
        with self._changed:
            if self._closed:
                raise ShuttingDown("the service is shutting down", retry_after=5.0)
            self._tasks.setdefault(device, deque()).append(task)
            self._announce()
        return task.done

    def take(
        self,
        device: str,
        limit: Limit,
        stop: Callable[[], bool],
        hold: Callable[[list[QueuedImage]], None] = lambda _: None,
    ) -> Batch | MaintenanceTask | None:
        """Block until there is work for `device`; None once `stop()` is true or all is done after `close`.

        `hold` gets the images before they leave the queue, so that whenever a worker dies each image is in one place at
        least.
        """
        while True:
            with self._changed:
                self._idle_takers += 1
                try:
                    found = self._wait_for_work(device, limit, stop, hold)
                finally:
                    self._idle_takers -= 1
            if not isinstance(found, _Look):
                return found
            self._report(found.dropped)
            if found.batch is not None:
                return found.batch

    def close(self) -> None:
        """Take nothing more in; what is queued leaves at once, then `take` returns None."""
        with self._changed:
            self._closed = True
            self._announce()

    def abort(self, error: Callable[[], ServiceError]) -> int:
        """Answer everything that is queued with an error of its own; returns how many that were."""
        with self._changed:
            images = list(self._queue)
            self._queue.clear()
            self._announce()
        failed = [image for image in images if image.fail(error())]
        if failed:
            self._dropped("aborted", failed)
        return len(failed)

    def fail_tasks(self, device: str, error: ServiceError) -> None:
        """The device's worker is gone: end its tasks with `error`."""
        with self._changed:
            tasks = self._tasks.pop(device, deque())
        for task in tasks:
            task.end(error)

    def wake(self) -> None:
        """Make every blocked `take` look again (its `stop` may have changed)."""
        with self._changed:
            self._changed.notify_all()

    def _wait_for_work(
        self, device: str, limit: Limit, stop: Callable[[], bool], hold: Callable[[list[QueuedImage]], None]
    ) -> _Look | MaintenanceTask | None:
        while not stop():
            if tasks := self._tasks.get(device):
                return tasks.popleft()
            look = self._look(limit, hold)
            if look.batch is not None or look.dropped:
                return look
            if self._closed and not self._queue:
                return None
            self._wait(self._changed, look.wait_s)
        return None

    def _look(self, limit: Limit, hold: Callable[[list[QueuedImage]], None]) -> _Look:
        now = self._clock()
        dropped = self._drop_the_late(now, limit)
        batch, wait_s = form_batch(
            self._queue,
            now,
            limit,
            self._latency,
            wait_s=self._wait_s,
            share=-(-len(self._queue) // max(1, self._idle_takers)),  # idle devices share what there is
            closed=self._closed,
        )
        if batch is not None:
            hold(batch.images)
            for image in batch.images:
                self._queue.popleft()
                image.taken_at = now
        elif any(stage == "hopeless" for stage, _ in dropped):
            self._latency.doubt()
        if batch is not None or dropped:
            self._depth(len(self._queue))
        return _Look(batch, dropped, wait_s)

    def _drop_the_late(self, now: float, limit: Limit) -> list[tuple[str, QueuedImage]]:
        """Remove what was answered meanwhile, is expired, or cannot be ready in time.

        With more than a batch in the queue, in time means: as part of half a batch. Smaller batches would save a few
        late images at the price of the rate, and so make all that wait behind them late.
        """
        if all(image.deadline is None and not image.settled for image in self._queue):
            return []
        company = max(1, limit.images // 2) if len(self._queue) > limit.images else 1
        dropped: list[tuple[str, QueuedImage]] = []
        kept: deque[QueuedImage] = deque()
        for image in self._queue:
            stage = answer_if_late(image, now, self._latency.seconds(min(limit.pixels, image.pixels * company)))
            if stage is not None:
                dropped.append((stage, image))
            elif not image.settled:
                kept.append(image)
        self._queue = kept
        return dropped

    def _report(self, dropped: list[tuple[str, QueuedImage]]) -> None:
        for stage in ("queue", "hopeless"):
            images = [image for found, image in dropped if found == stage and image.settled]
            if images:
                self._dropped(stage, images)

    def _announce(self) -> None:
        self._depth(len(self._queue))
        self._changed.notify_all()
