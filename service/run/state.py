"""In: settings, and engine, registry and metrics made from them. Out: the one object by which routes reach them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypedDict

from fastapi import FastAPI

from models.imaging.decode import ImageLimits
from service.auth import KeyRing
from service.engine.engine import Engine
from service.errors import ServiceError
from service.inspection.observers import Observers, VerdictObserver
from service.inspection.thread_pool import WorkerThreads
from service.logs import event
from service.metrics import Metrics
from service.products.registry import Registry
from service.rest.bodies.reader import BodyLimits
from service.run.settings import Settings
from service.shutdown_flag import ShutdownFlag

LAST_CALL_S = 0.0


@dataclass(frozen=True)
class Parts:
    """What the settings ask for, made and not yet started."""

    engine: Engine
    registry: Registry
    metrics: Metrics
    threads: int  # for decoding and encoding
    observers: tuple[VerdictObserver, ...] = ()  # who learns of every verdict


Assemble = Callable[[Settings], Parts]


class LifespanState(TypedDict):
    """What every request finds in `request.state`."""

    service: Service


class Service:
    """One server process: made by `create_app`, running between the lifespan's start and end."""

    def __init__(self, settings: Settings, assemble: Assemble) -> None:
        self.settings = settings
        self.gate = ShutdownFlag()
        self.keys = KeyRing(settings.api_keys_file, settings.api_keys) if settings.auth_enabled else None
        self.image_limits = ImageLimits(settings.max_image_bytes, settings.max_image_pixels, settings.format_names)
        self.body_limits = BodyLimits(
            max_bytes=settings.max_body_bytes,
            max_images=settings.max_images,
            max_image_bytes=settings.max_image_bytes,
            whole_s=settings.body_timeout_s,
            pause_s=settings.body_pause_s,
        )
        self._assemble = assemble
        self._parts: Parts | None = None
        self._threads: WorkerThreads | None = None
        self._audience: Observers | None = None
        self._last_call: asyncio.Task[None] | None = None
        self.metrics_page = self.own_metrics_page  # replicas on a cluster answer with the page of all of them

    @property
    def parts(self) -> Parts:
        """Engine, registry and metrics; there from the lifespan's start on."""
        assert self._parts is not None, "the service has not been started"
        return self._parts

    @property
    def threads(self) -> WorkerThreads:
        """The threads for decoding and encoding."""
        assert self._threads is not None, "the service has not been started"
        return self._threads

    @property
    def observers(self) -> tuple[VerdictObserver, ...]:
        """Who learns of every verdict; started and stopped with the service."""
        return self.parts.observers

    @property
    def audience(self) -> Observers:
        """All observers at once, as an inspection speaks to them."""
        assert self._audience is not None, "the service has not been started"
        return self._audience

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Service]:
        """Start devices, then products; at the end drain. A start that fails raises, and the process ends."""
        parts = self._parts = await asyncio.to_thread(self._assemble, self.settings)
        self._threads = WorkerThreads(parts.threads)
        self._audience = Observers(parts.observers, parts.metrics)
        try:
            await asyncio.to_thread(self._audience.start)
            await asyncio.to_thread(parts.engine.start)
            await parts.registry.start()
            event("started", ready=self.ready()[0], products=len(parts.registry.products()))
            yield self
        except ServiceError as error:
            event("start failed", logging.ERROR, reason=error.detail)
            raise
        finally:
            self.gate.close()
            self.ready()  # for the gauge
            await self._drain(self.settings.drain_s)
            await parts.registry.stop()
            self._threads.close()
            await asyncio.to_thread(self._audience.stop)

    async def own_metrics_page(self) -> bytes:
        """All metrics of this server, in Prometheus' text format."""
        self.ready()  # brings its gauge up to date
        return await self.threads.run(self.parts.metrics.render)

    def ready(self) -> tuple[bool, str | None]:
        """Whether requests will be judged, and why not. Load never changes the answer."""
        ready, reason = self._readiness()
        self.parts.metrics.gauge("mkd_ready").set(int(ready))
        return ready, reason

    def _readiness(self) -> tuple[bool, str | None]:
        if not self.gate.is_open:
            return False, "the service is shutting down"
        for ready, reason in (self.parts.engine.ready(), self.parts.registry.ready()):
            if not ready:
                return False, reason
        return True, None

    def reload_keys(self) -> None:
        """On SIGHUP."""
        if self.keys is not None:
            self.keys.reload(force=True)

    def answer_what_is_left(self) -> None:
        """At the end of the drain's time: images that still wait are answered with 503 instead of being cut off."""
        if self._parts is not None:
            self._last_call = asyncio.get_running_loop().create_task(self._drain(LAST_CALL_S))

    async def _drain(self, limit_s: float) -> None:
        if self._last_call is not None and asyncio.current_task() is not self._last_call:
            await self._last_call
            return
        report = await self.parts.engine.drain(limit_s)
        level = logging.INFO if report.complete else logging.WARNING
        event("drained", level, seconds=round(report.seconds, 2), left_images=report.left_images)


def running_state(app: FastAPI) -> Service:
    """The service behind `app`, for the server, which has no request to ask."""
    service = app.state.service
    assert isinstance(service, Service)
    return service
