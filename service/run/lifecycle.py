"""Starts the parts of one server process in order, says whether it is ready, and drains and stops it at the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from models.imaging.decode import ImageLimits
from service.audit.trail import AuditTrail
from service.auth import KeyRing
from service.drift.observer import DriftObserver
from service.errors import NotReady, ServiceError
from service.feedback.access import FeedbackAccess
from service.feedback.defect_groups.finder import DefectFinder
from service.feedback.observer import FeedbackObserver
from service.feedback.recalibration.recalibrator import Recalibrator
from service.inspection.inspector import Inspector
from service.inspection.metrics_observer import MetricsObserver
from service.inspection.observers import Observers, VerdictObserver
from service.inspection.thread_pool import WorkerThreads
from service.logs import event
from service.rest.app_state import AppState, Operation
from service.rest.bodies.reader import BodyLimits
from service.rest.event_hub import EventHub
from service.rest.event_state import EventState
from service.rest.options import RestOptions
from service.rest.request_checks import RequestChecks
from service.run.components import Assemble, Components
from service.run.interpreter import give_memory_back
from service.run.settings import MIB, Settings
from service.sessions import Sessions, shared_secret
from service.trainings.child import TrainingOptions
from service.trainings.trainings import Trainings

if TYPE_CHECKING:
    from service.gateway.settings import LineSettings

Observing = TypeVar("Observing", bound=VerdictObserver)
AT_ONCE_S = 0.0
CANCEL_AGAIN_S = 0.5


class Lifecycle:
    """One server process: made by `create_app`, running between the lifespan's start and end.

    Raises KeyFileError where the API keys cannot be read, SettingsError where the line cannot.
    """

    def __init__(self, settings: Settings, assemble: Assemble) -> None:
        keys = KeyRing(settings.api_keys_file, settings.api_keys) if settings.auth_enabled else None
        self.checks = RequestChecks(rest_options(settings), keys)
        self.metrics_page = self.own_metrics_page  # replicas on a cluster answer with the page of all of them
        self._settings = settings
        self._line = _line_settings(settings)
        self._assemble = assemble
        self._trainings = trainings_of(settings)
        self._running: tuple[Components, AppState] | None = None
        self._last_drain: asyncio.Task[None] | None = None

    @property
    def components(self) -> Components:
        """What runs; there from the lifespan's start on."""
        assert self._running is not None, "the service has not been started"
        return self._running[0]

    @property
    def state(self) -> AppState:
        """What every request finds; there from the lifespan's start on."""
        assert self._running is not None, "the service has not been started"
        return self._running[1]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[AppState]:
        """Start observers, devices, products; at the end drain. A start that fails raises, and the process ends."""
        parts = await asyncio.to_thread(self._assemble, self._settings)
        observers = Observers((MetricsObserver(parts.metrics), *parts.observers), parts.metrics)
        overruns = parts.metrics.counter("mkd_decode_overruns_total")
        threads = WorkerThreads(parts.threads, self._settings.decode_budget_s, overruns.inc)
        grpc: Stoppable | None = None
        inspector = Inspector(parts.registry, parts.engine, threads, image_limits(self._settings), observers)
        self._running = parts, self._state_with(inspector, parts)
        secret = await asyncio.to_thread(shared_secret, parts.secret_folder)
        self.checks.start(parts.engine.admission, parts.metrics, Sessions(secret))
        try:
            await asyncio.to_thread(observers.start)
            await asyncio.to_thread(parts.engine.start)
            await parts.registry.start()
            await asyncio.to_thread(parts.engine.give_back)
            await asyncio.to_thread(give_memory_back)
            grpc = await start_grpc(inspector, self.checks, self, self._settings)
            async with self._stations(inspector), beside(self.state["events"]), beside(self.state["defects"]):
                event("started", ready=self.ready()[0], products=len(parts.registry.products()))
                yield self.state
        except ServiceError as error:
            event("start failed", logging.ERROR, reason=error.detail)
            raise
        finally:
            self.checks.shutdown.set()
            self.ready()  # for the gauge
            if grpc is not None:
                await grpc.stop(self._settings.drain_s)
            if self._trainings is not None:
                await self._trainings.stop_own()
            await self._drain(self._settings.drain_s)
            if (recalibrating := self.state["recalibrator"]) is not None:
                await recalibrating.stop()
            await parts.registry.stop()
            threads.close()
            if (feedback := self.state["feedback"]) is not None:
                feedback.close()
            await asyncio.to_thread(observers.stop)

    def _stations(self, inspector: Inspector) -> AbstractAsyncContextManager[None]:
        if self._line is None:
            return nullcontext()
        from service.run.line import line

        return line(self._line, inspector, self.ready)

    def _state_with(self, inspector: Inspector, parts: Components) -> AppState:
        drift = one_of(DriftObserver, parts.observers)
        feedback = feedback_access(parts)
        events = None
        if feedback is not None:
            state = EventState(self, parts.registry, drift, self.checks.options)
            events = EventHub(feedback, state, self.checks.shutdown, parts.metrics)
        return AppState(
            checks=self.checks,
            inspector=inspector,
            drift=drift,
            operation=self,
            feedback=feedback,
            events=events,
            recalibrator=recalibrator(parts, inspector, feedback),
            defects=defect_finder(parts, inspector, feedback, self._settings.weights),
            trainings=self._trainings,
        )

    async def own_metrics_page(self) -> bytes:
        """All metrics of this server, in Prometheus' text format."""
        self.ready()  # brings its gauge up to date
        return await self.state["inspector"].threads.run(self.components.metrics.render)

    def live(self) -> bool:
        """Whether the process can still help itself; where not, it asks to be restarted."""
        return self.components.engine.live() and self.state["inspector"].threads.live()

    def backends(self) -> dict[str, dict[str, str]]:
        """By device, each source in use with the backend that runs it and why."""
        return self.components.engine.backends()

    def ready(self) -> tuple[bool, str | None]:
        """Whether requests will be judged, and why not. Load never changes the answer."""
        ready, reason = self._readiness()
        self.components.metrics.gauge("mkd_ready").set(int(ready))
        return ready, reason

    def _readiness(self) -> tuple[bool, str | None]:
        if self.checks.shutdown.is_set:
            return False, "the service is shutting down"
        for ready, reason in (self.components.engine.ready(), self.components.registry.ready()):
            if not ready:
                return False, reason
        return True, None

    def reload_keys(self) -> None:
        """On SIGHUP."""
        if self.checks.keys is not None:
            self.checks.keys.reload(force=True)

    def answer_what_is_left(self) -> None:
        """At the end of the drain's time: images that still wait are answered with 503 instead of being cut off."""
        if self._running is not None:
            self._last_drain = asyncio.get_running_loop().create_task(self._drain(AT_ONCE_S))

    async def _drain(self, limit_s: float) -> None:
        if self._last_drain is not None and asyncio.current_task() is not self._last_drain:
            await self._last_drain
            return
        report = await self.components.engine.drain(limit_s)
        level = logging.INFO if report.complete else logging.WARNING
        event("drained", level, seconds=round(report.seconds, 2), left_images=report.left_images)


def feedback_access(parts: Components) -> FeedbackAccess | None:
    """What surfaces ask of the feedback store; None where there is none. Reviews go into the audit trail."""
    observer = one_of(FeedbackObserver, parts.observers)
    if observer is None:
        return None
    trail = one_of(AuditTrail, parts.observers)
    return FeedbackAccess(observer.store, parts.metrics, trail.on_review if trail is not None else lambda _: None)


def recalibrator(parts: Components, inspector: Inspector, feedback: FeedbackAccess | None) -> Recalibrator | None:
    """What makes thresholds from confirmed parts; None where there is no store. Its steps go into the audit trail."""
    if feedback is None:
        return None
    trail = one_of(AuditTrail, parts.observers)
    on_step = trail.on_recalibration if trail is not None else lambda _: None
    return Recalibrator(feedback, parts.registry, inspector.image_limits, on_step)


def defect_finder(
    parts: Components, inspector: Inspector, feedback: FeedbackAccess | None, weights: Path | None
) -> DefectFinder | None:
    """What finds recurring defects; None where there is no store. Their names go into the audit trail."""
    if feedback is None:
        return None
    trail = one_of(AuditTrail, parts.observers)
    finder = DefectFinder(feedback, inspector, weights, trail.on_review if trail is not None else lambda _: None)
    feedback.on_judged = finder.look
    return finder


def one_of(kind: type[Observing], observers: Iterable[VerdictObserver]) -> Observing | None:
    """The observer of this kind; None where there is none."""
    return next((observer for observer in observers if isinstance(observer, kind)), None)


class Running(Protocol):
    """What runs beside the server until it is cancelled."""

    async def run(self) -> None: ...


@asynccontextmanager
async def beside(part: Running | None) -> AsyncIterator[None]:
    """It runs while the block does: pages are told of what happens, recurring defects are found."""
    if part is None:
        yield
        return
    task = asyncio.create_task(part.run())
    try:
        yield
    finally:
        while not task.done():  # Python 3.11's wait_for swallows a cancellation that comes as what it waits for ends
            task.cancel()
            await asyncio.wait([task], timeout=CANCEL_AGAIN_S)
        await asyncio.gather(task, return_exceptions=True)


def _line_settings(settings: Settings) -> LineSettings | None:
    """Imported only where it is asked for: the gateway reads its protocols' settings at import."""
    if settings.line is None:
        return None
    from service.run.line import read_line

    return read_line(settings.line)


class Stoppable(Protocol):
    """A further port."""

    async def stop(self, grace_s: float) -> None: ...


async def start_grpc(
    inspector: Inspector, checks: RequestChecks, operation: Operation, settings: Settings
) -> Stoppable | None:
    """The gRPC port that the settings ask for. Raises NotReady where it cannot be had."""
    if settings.grpc_port is None:
        return None
    try:
        from service.oip.grpc.server import GrpcServer
    except ImportError as error:
        raise NotReady(
            f"grpc_port needs gRPC, which is not installed ({error}): pip install 'mkdserve[grpc]'"
        ) from None
    server = GrpcServer(inspector, checks, operation)
    await server.start(settings.host, settings.grpc_port)
    return server


def image_limits(settings: Settings) -> ImageLimits:
    """What of an image is refused before it is decoded."""
    return ImageLimits(settings.max_image_bytes, settings.max_image_pixels, settings.format_names)


def trainings_of(settings: Settings) -> Trainings | None:
    """The trainings that are started over HTTP; None where they are switched off."""
    folder = settings.trainings_folder
    if folder is None:
        return None
    options = TrainingOptions(
        max_pictures=settings.training_max_images,
        max_bytes=settings.training_max_mb * MIB,
        threads=settings.training_threads,
        weights=settings.weights,
    )
    return Trainings(folder, settings.artifacts, options)


def rest_options(settings: Settings) -> RestOptions:
    """The HTTP surface's share of the settings."""
    return RestOptions(
        host=settings.host,
        header_timeout_s=settings.header_timeout_s,
        max_header_bytes=settings.max_header_bytes,
        send_timeout_s=settings.send_timeout_s,
        body_limits=BodyLimits(
            max_bytes=settings.max_body_bytes,
            max_images=settings.max_images,
            max_image_bytes=settings.max_image_bytes,
            whole_s=settings.body_timeout_s,
            pause_s=settings.body_pause_s,
            min_rate=settings.body_min_rate,
        ),
        max_stream_images=settings.max_stream_images,
        deadline_ms=settings.deadline_ms,
        keys_needed=settings.auth_enabled,
        openapi=settings.openapi,
        root_path=settings.root_path,
        processes=settings.processes,
        drift=settings.drift,
        drift_alarm_parts=settings.drift_alarm_parts,
    )
