"""The client for programs without an event loop; it may be used from several threads at once."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

import httpx

from mkdserve.client import (
    defect_group_calls,
    feedback_calls,
    inspection_calls,
    product_calls,
    recalibration_calls,
    training_calls,
)
from mkdserve.client.async_client import DEFAULT_DEADLINE_S, DEFAULT_URL, AsyncClient, as_method
from mkdserve.client.calls import Call
from mkdserve.client.events import Event
from mkdserve.client.loop_thread import LoopThread
from mkdserve.client.retries import Retries

P = ParamSpec("P")
T = TypeVar("T")


def blocking(make: Callable[P, Call[T]]) -> Callable[Concatenate[Client, P], T]:
    """A method of Client that makes a call, sends it and waits for its result."""

    @functools.wraps(make)
    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.call(make(*args, **kwargs))

    return as_method(method, make)


class Client:
    """As AsyncClient, and every method waits for its result: `with Client(...) as client`.

    An AsyncClient does the work in a thread, so that a deadline holds even where a server sends a byte now and then.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        key: str | None = None,
        deadline_s: float = DEFAULT_DEADLINE_S,
        retries: Retries | None = None,
        verify: bool | ssl.SSLContext = True,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._client = AsyncClient(
            url, key=key, deadline_s=deadline_s, retries=retries, verify=verify, transport=transport
        )
        self._thread = LoopThread()

    def call(self, call: Call[T]) -> T:
        """The result of a call that was made as data."""
        return self._thread.run(self._client.call(call))

    def events(
        self, *, product: str | None = None, station: str | None = None, after: int | None = None
    ) -> Iterator[Event]:
        """Verdicts, reviews and states as they come, without end; `after` is the id of the last event that was seen."""
        found = self._client.events(product=product, station=station, after=after)
        try:
            while True:
                yield self._thread.run(found.__anext__())
        finally:
            self._thread.run(found.aclose())

    def close(self) -> None:
        """Close the connections; may be called again."""
        if self._thread.alive:
            self._thread.run(self._client.close())
            self._thread.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    score = blocking(inspection_calls.score)
    localize = blocking(inspection_calls.localize)

    health = blocking(product_calls.health)
    readiness = blocking(product_calls.readiness)
    versions = blocking(product_calls.versions)
    metrics = blocking(product_calls.metrics)
    products = blocking(product_calls.products)
    product = blocking(product_calls.product)
    drift = blocking(product_calls.drift)
    load = blocking(product_calls.load)
    activate = blocking(product_calls.activate)
    unpin = blocking(product_calls.unpin)
    rollback = blocking(product_calls.rollback)
    unload = blocking(product_calls.unload)
    reset_drift = blocking(product_calls.reset_drift)

    verdicts = blocking(feedback_calls.verdicts)
    verdict = blocking(feedback_calls.verdict)
    picture = blocking(feedback_calls.picture)
    localization = blocking(feedback_calls.localization)
    review_queue = blocking(feedback_calls.review_queue)
    review = blocking(feedback_calls.review)
    withdraw_review = blocking(feedback_calls.withdraw_review)
    review_summary = blocking(feedback_calls.review_summary)
    statistics = blocking(feedback_calls.statistics)
    what_if = blocking(recalibration_calls.what_if)
    recalibrate = blocking(recalibration_calls.recalibrate)
    recalibrations = blocking(recalibration_calls.recalibrations)
    recalibration = blocking(recalibration_calls.recalibration)
    apply_recalibration = blocking(recalibration_calls.apply_recalibration)
    defect_groups = blocking(defect_group_calls.defect_groups)
    name_defect_group = blocking(defect_group_calls.name_defect_group)
    export = blocking(feedback_calls.export)

    start_training = blocking(training_calls.start_training)
    trainings = blocking(training_calls.trainings)
    training = blocking(training_calls.training)
    stop_training = blocking(training_calls.stop_training)
    activate_training = blocking(training_calls.activate_training)
