"""Events of admission, batcher and workers in; metrics counted, log lines written and callers woken out."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from service.engine.completion import deliver
from service.engine.forming import Reason
from service.engine.queued_image import QueuedImage
from service.logs import event
from service.metrics import Metrics

DEVICE_COUNTERS = ("mkd_out_of_memory_splits_total", "mkd_step_failures_total", "mkd_worker_deaths_total")


class Observer:
    """The one place where the engine's parts meet the metrics. Called from any thread, never blocks."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def wake(self, images: Iterable[QueuedImage]) -> None:
        """Tell the callers of these answered images; telling them twice does no harm."""
        deliver(images)

    def answered(self, images: list[QueuedImage]) -> None:
        """Jobs that left by a worker, judged or failed."""
        deliver(images)  # first: whoever waits must not depend on what follows
        for image in images:
            self._metrics.stage("queue", image.queue_s)
            if image.error is None:
                self._metrics.stage("device", image.device_s)

    def dropped(self, stage: str, images: list[QueuedImage]) -> None:
        """Jobs the batcher answered: "queue" or "hopeless" (their deadline), "aborted" (nobody will serve them)."""
        deliver(images)
        if stage != "aborted":
            self.expired(stage, len(images))

    def expired(self, stage: str, count: int) -> None:
        if count:
            self._metrics.counter("mkd_expiries_total", stage=stage).inc(count)

    def cancelled(self, stage: str, count: int) -> None:
        if count:
            self._metrics.counter("mkd_cancellations_total", stage=stage).inc(count)

    def refused(self, reason: str, images: int) -> None:
        self._metrics.counter("mkd_rejections_total", reason=reason).inc(images)

    def in_flight(self, images: int, size: int) -> None:
        self._metrics.gauge("mkd_in_flight_images").set(images)
        self._metrics.gauge("mkd_in_flight_bytes").set(size)

    def queued(self, images: int) -> None:
        self._metrics.gauge("mkd_queue_images").set(images)

    def stepped(self, device: str, images: int, seconds: float, reason: Reason) -> None:
        self._metrics.histogram("mkd_batch_images").observe(images)
        self._metrics.counter("mkd_batches_total", reason=reason).inc()
        self._metrics.counter("mkd_device_busy_seconds_total", device=device).inc(max(0.0, seconds))

    def step_failed(self, device: str, error: str) -> None:
        self._metrics.counter("mkd_step_failures_total", device=device).inc()
        event("device step failed", logging.WARNING, device=device, error=error)

    def memory_split(self, device: str, images: int) -> None:
        self._metrics.counter("mkd_out_of_memory_splits_total", device=device).inc()
        event("out of memory, batch split", logging.WARNING, device=device, images=images)

    def limit_changed(self, device: str, images: int) -> None:
        self._metrics.gauge("mkd_batch_limit_images", device=device).set(images)

    def memory_held(self, device: str, size: int) -> None:
        self._metrics.gauge("mkd_device_memory_bytes", device=device).set(size)

    def worker_died(self, device: str, cause: str) -> None:
        self._metrics.counter("mkd_worker_deaths_total", device=device).inc()
        event("worker lost", logging.ERROR, device=device, cause=cause)

    def worker_ready(self, device: str, ready: bool) -> None:
        self._metrics.gauge("mkd_worker_ready", device=device).set(int(ready))
        if ready:
            for name in DEVICE_COUNTERS:  # there before their first event, as Prometheus cannot see it otherwise
                self._metrics.counter(name, device=device)
            event("worker ready", device=device)
