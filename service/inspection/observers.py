"""Whoever wants to know of verdicts (metrics, audit, drift) is told of each one, and can neither slow nor fail it.

An observer is called on the event loop after a verdict has been made and before its answer leaves, so it must return at
once: what takes longer belongs to a thread of its own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from models.image_judge import PreparedImage
from service.inspection.context import InspectionContext
from service.inspection.verdict import ImageFailure, Verdict
from service.metrics import Metrics
from service.products.product import ProductVersion

LOG_AGAIN_AFTER_S = 60.0  # an observer that fails on every verdict must not fill the log


@dataclass(frozen=True)
class Picture:
    """What a verdict was made from; everything in it is shared and must not be changed.

    `prepared` has what the network took; `data` is the image as received; `context` has request id, caller and line
    context and is filled in until the request ends; `at` is the wall clock in seconds since 1970 (UTC).
    """

    prepared: PreparedImage
    data: bytes
    version: ProductVersion
    context: InspectionContext
    at: float


class VerdictObserver:
    """Base of all observers: the calls that it does not take up do nothing.

    `on_verdict` and `on_failure` are called on the event loop, `start` and `stop` in a thread.
    """

    name: str  # in metrics and log lines

    def start(self) -> None:
        """Called before the first verdict. Raises ServiceError where the service had better not start."""

    def on_verdict(self, verdict: Verdict, picture: Picture) -> None:
        """Take note of a verdict, at once. What it raises is logged and counted and goes no further."""

    def on_failure(self, failure: ImageFailure, context: InspectionContext) -> None:
        """Take note of an image that has no verdict, at once. What it raises is treated likewise."""

    def stop(self) -> None:
        """Called after the last verdict; finishes what is in hand. Called also where `start` failed or never ran."""


class Observers:
    """All observers of one process."""

    def __init__(self, observers: Sequence[VerdictObserver], metrics: Metrics) -> None:
        self._observers = tuple(observers)
        self._metrics = metrics
        self._logged_at: dict[str, float] = {}

    def start(self) -> None:
        """Start them in order; the first that raises ends it."""
        for observer in self._observers:
            observer.start()

    def on_verdict(self, verdict: Verdict, picture: Picture) -> None:
        """Tell every observer, also where another has failed on it. Raises nothing."""
        self._tell(lambda observer: observer.on_verdict(verdict, picture))

    def on_failure(self, failure: ImageFailure, context: InspectionContext) -> None:
        """The same for an image that has no verdict."""
        self._tell(lambda observer: observer.on_failure(failure, context))

    def stop(self) -> None:
        """Stop them in reverse order. Raises nothing."""
        for observer in reversed(self._observers):
            try:
                observer.stop()
            except Exception:
                self._failed(observer.name, "an observer failed at the stop")

    def _tell(self, call: Callable[[VerdictObserver], None]) -> None:
        for observer in self._observers:
            try:
                call(observer)
            except Exception:
                self._failed(observer.name, "an observer failed on a verdict, which is given all the same")

    def _failed(self, name: str, text: str) -> None:
        self._metrics.counter("mkd_observer_failures_total", observer=name).inc()
        now = time.monotonic()
        if now - self._logged_at.get(name, -LOG_AGAIN_AFTER_S) >= LOG_AGAIN_AFTER_S:
            self._logged_at[name] = now
            logging.getLogger("mkdserve").exception("%s: %s", name, text)
