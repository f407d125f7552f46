"""The client for programs with an event loop."""

from __future__ import annotations

import functools
import inspect
import ssl
from collections.abc import AsyncGenerator, Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from mkdserve.client import (
    defect_group_calls,
    feedback_calls,
    inspection_calls,
    product_calls,
    recalibration_calls,
    training_calls,
)
from mkdserve.client.calls import Call
from mkdserve.client.events import Event, events
from mkdserve.client.exchange import Exchange
from mkdserve.client.retries import Retries

P = ParamSpec("P")
T = TypeVar("T")
DEFAULT_URL = "http://127.0.0.1:8000"
DEFAULT_DEADLINE_S = 30.0


def awaited(make: Callable[P, Call[T]]) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    """A method of AsyncClient that makes a call and sends it."""

    @functools.wraps(make)
    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.call(make(*args, **kwargs))

    return as_method(method, make)


def as_method(method: T, make: Callable[..., object]) -> T:
    """`method` with the signature of `make` behind `self`, and its result without the call, for help()."""
    signature = inspect.signature(make)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    result = str(signature.return_annotation).removeprefix("Call[").removesuffix("]")
    shown = signature.replace(parameters=[own, *signature.parameters.values()], return_annotation=result)
    method.__signature__ = shown  # type: ignore[attr-defined]
    return method


class AsyncClient:
    """The service at `url`, over connections that are kept: `async with AsyncClient(...) as client`.

    `key` is an API key. `deadline_s` is the time in seconds for a call that brings none, with all its attempts and the
    waits between them; the service is told it, too. `retries` says what is tried again. `verify` takes an
    `ssl.SSLContext` for a certificate of one's own. `transport` replaces the network. No proxy is taken from the
    environment. Every method may raise ClientError, and ValueError for what cannot be sent.
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
        self._retries = retries or Retries()
        self._exchange = Exchange(url, key, deadline_s, self._retries, verify, transport)

    async def call(self, call: Call[T]) -> T:
        """The result of a call that was made as data."""
        return await self._exchange.call(call)

    def events(
        self, *, product: str | None = None, station: str | None = None, after: int | None = None
    ) -> AsyncGenerator[Event, None]:
        """Verdicts, reviews and states as they come, without end; `after` is the id of the last event that was seen."""
        return events(self._exchange, self._retries, product, station, after)

    async def close(self) -> None:
        """Close the connections."""
        await self._exchange.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    score = awaited(inspection_calls.score)
    localize = awaited(inspection_calls.localize)

    health = awaited(product_calls.health)
    readiness = awaited(product_calls.readiness)
    versions = awaited(product_calls.versions)
    metrics = awaited(product_calls.metrics)
    products = awaited(product_calls.products)
    product = awaited(product_calls.product)
    drift = awaited(product_calls.drift)
    load = awaited(product_calls.load)
    activate = awaited(product_calls.activate)
    unpin = awaited(product_calls.unpin)
    rollback = awaited(product_calls.rollback)
    unload = awaited(product_calls.unload)
    reset_drift = awaited(product_calls.reset_drift)

    verdicts = awaited(feedback_calls.verdicts)
    verdict = awaited(feedback_calls.verdict)
    picture = awaited(feedback_calls.picture)
    localization = awaited(feedback_calls.localization)
    review_queue = awaited(feedback_calls.review_queue)
    review = awaited(feedback_calls.review)
    withdraw_review = awaited(feedback_calls.withdraw_review)
    review_summary = awaited(feedback_calls.review_summary)
    statistics = awaited(feedback_calls.statistics)
    what_if = awaited(recalibration_calls.what_if)
    recalibrate = awaited(recalibration_calls.recalibrate)
    recalibrations = awaited(recalibration_calls.recalibrations)
    recalibration = awaited(recalibration_calls.recalibration)
    apply_recalibration = awaited(recalibration_calls.apply_recalibration)
    defect_groups = awaited(defect_group_calls.defect_groups)
    name_defect_group = awaited(defect_group_calls.name_defect_group)
    export = awaited(feedback_calls.export)

    start_training = awaited(training_calls.start_training)
    trainings = awaited(training_calls.trainings)
    training = awaited(training_calls.training)
    stop_training = awaited(training_calls.stop_training)
    activate_training = awaited(training_calls.activate_training)
