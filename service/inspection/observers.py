"""In: each verdict that is given and what it was made from. Out: the same to every observer, none of which can fail it.

An observer (the audit trail, the drift watch) learns of a verdict after it has been made and before its answer leaves.
It
runs on the event loop, so it must return at once: what takes longer belongs to a thread of its own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from models.imaging.preprocess import Prepared
from service.metrics import Metrics
from service.products.product import ProductVersion
from service.rest.request_record import RequestRecord
from service.rest.schemas import Verdict

SAY_AGAIN_AFTER_S = 60.0  # an observer that fails on every verdict must not fill the log


@dataclass(frozen=True)
class Seen:
    """One verdict and what it was made from; everything in it is shared and must not be changed.

    `image` is what the network took, (3, S, S) float32; `data` the image as received; `record` has the request id and
    the line context and is written on until the request ends; `at` is the wall clock in seconds since 1970 (UTC).
    """

    verdict: Verdict
    version: ProductVersion
    image: Prepared
    data: bytes
    record: RequestRecord
    at: float


class VerdictObserver(Protocol):
    """Who wants to know of verdicts. `on_verdict` is called on the event loop, the others in a thread."""

    @property
    def name(self) -> str:
        """Its name in metrics and log lines."""
        ...

    def start(self) -> None:
        """Called before the first verdict. Raises ServiceError where the service had better not start."""
        ...

    def on_verdict(self, seen: Seen) -> None:
        """Take note of a verdict, at once. What it raises is logged and counted and goes no further."""
        ...

    def stop(self) -> None:
        """Called after the last verdict; finishes what is in hand. Called also where `start` failed or never ran."""
        ...


class Observers:
    """All observers of one process."""

    def __init__(self, observers: Sequence[VerdictObserver], metrics: Metrics) -> None:
        self._observers = tuple(observers)
        self._metrics = metrics
        self._said: dict[str, float] = {}

    def start(self) -> None:
        """Start them in order; the first that raises ends it."""
        for observer in self._observers:
            observer.start()

    def show(self, seen: Seen) -> None:
        """Every observer sees it, also where another has failed on it. Raises nothing."""
        for observer in self._observers:
            try:
                observer.on_verdict(seen)
            except Exception:
                self._failed(observer.name, "an observer failed on a verdict, which is given all the same")

    def stop(self) -> None:
        """Stop them in reverse order. Raises nothing."""
        for observer in reversed(self._observers):
            try:
                observer.stop()
            except Exception:
                self._failed(observer.name, "an observer failed at the stop")

    def _failed(self, name: str, text: str) -> None:
        self._metrics.counter("mkd_observer_failures_total", observer=name).inc()
        now = time.monotonic()
        if now - self._said.get(name, -SAY_AGAIN_AFTER_S) >= SAY_AGAIN_AFTER_S:
            self._said[name] = now
            logging.getLogger("mkdserve").exception("%s: %s", name, text)
