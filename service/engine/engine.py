"""Prepared images with their heads in, scores and maps out: what the routes know of batching, devices and faults.

registry.start() -> validate() -> worker    an artifact is verified and warmed up on every device before it is served
judge() -> batcher -> worker -> judge()  one wake-up of the event loop per batch, one answer per image, always
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.artifact import Artifact
from models.detector import Judgement, Row
from service.engine.admission import Admission
from service.engine.batch_limit import BatchLimit
from service.engine.batcher import Batcher
from service.engine.completion import Completion
from service.engine.latency_model import LatencyModel
from service.engine.observer import Observer
from service.engine.queued_image import QueuedImage
from service.engine.supervisor import Supervisor
from service.engine.validation import ValidatingRunner, Validator
from service.errors import NotReady, ServiceError, ShuttingDown
from service.metrics import Metrics


@dataclass(frozen=True, slots=True)
class TimedJudgement:
    """One image judged. `score` and `map` (S, S) float32 are raw; times in seconds; `batch_size` counts images."""

    score: float
    map: npt.NDArray[np.float32] | None
    queue_s: float
    device_s: float
    batch_size: int
    decided_by: str | None = None
    group: str | None = None  # of channels, where a picture's rows have been joined


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """Bounds of the engine. `max_in_flight_images` must be at least the most images of one request."""

    max_batch: int = 32
    max_batch_pixels: int = 32 * 256 * 256
    batch_wait_s: float = 0.0
    max_in_flight_images: int = 512
    max_in_flight_bytes: int = 512 << 20
    max_wait_s: float = 0.0  # by the measured rate; 0 for no limit
    caller_share: float = 1.0  # of max_in_flight_bytes, for the requests of one caller together
    # A device step that takes longer has hung: its images are answered, its worker replaced.
    stall_limit_s: float = 60.0
    # After this long without running out of memory the batch limit doubles again.
    recover_limit_s: float = 60.0


@dataclass(frozen=True, slots=True)
class DrainReport:
    """What a drain left: images unanswered when the limit was over (they got 503), of these the ones still queued."""

    seconds: float
    left_images: int
    left_in_queue: int

    @property
    def complete(self) -> bool:
        return self.left_images == 0


class Engine:
    """Everything between the decoded image and its score.

    `runners` names the devices and how each is taken into use (`service.engine.device_runner.device_runners`); the call
    is made on the device's own worker thread. Order of the start: `start()`, then the registry, which has its artifacts
    validated here. Before a body is read, a route takes a permit:
    `with engine.admission.try_admit(images) as permit:`.
    """

    def __init__(
        self,
        runners: Mapping[str, Callable[[], ValidatingRunner]],
        settings: EngineSettings | None = None,
        metrics: Metrics | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings = settings or EngineSettings()
        self.metrics = metrics or Metrics()
        self._clock = clock
        self._observer = Observer(self.metrics)
        self._latency = LatencyModel()
        self.admission = Admission(
            max_images=settings.max_in_flight_images,
            max_bytes=settings.max_in_flight_bytes,
            rate=lambda: self._latency.images_per_second(len(runners)),
            observer=self._observer,
            step_s=self._latency.longest_step_s,
            max_wait_s=settings.max_wait_s,
            caller_share=settings.caller_share,
        )
        self._batcher = Batcher(
            max_queued=settings.max_in_flight_images,
            wait_s=settings.batch_wait_s,
            latency=self._latency,
            dropped=self._observer.dropped,
            depth=self._observer.queued,
            clock=clock,
        )
        self._limits = {
            device: BatchLimit(
                settings.max_batch, settings.max_batch_pixels, recover_s=settings.recover_limit_s, clock=clock
            )
            for device in runners
        }
        self._validator = Validator(self._limits, self._latency)
        self._supervisor = Supervisor(
            runners,
            self._batcher,
            self._limits,
            self._observer,
            warm_up=self._validator.warm_up,
            measured=self._latency.observe,
            stall_limit_s=settings.stall_limit_s,
            clock=clock,
        )

    def start(self) -> None:
        """Take every device into use; blocks until all are ready. Raises NotReady with the reason where one is not."""
        for device, limit in self._limits.items():
            self._observer.limit_changed(device, limit.images)
        self._supervisor.start()

    async def judge(self, rows: Sequence[Row], *, deadline: float | None = None) -> list[TimedJudgement | ServiceError]:
        """One entry per row, in order: its TimedJudgement, or the error that is its answer (as DeadlineExceeded).

        `deadline` is a time of `time.monotonic()`; no answer comes later than that. Cancelling this call (the client
        hung up) takes its images out of the queue. Raises, before anything is queued, NotReady, ShuttingDown or
        Overloaded for the rows as a whole.
        """
        if not rows:
            return []
        if (reason := self._supervisor.failed_reason()) is not None:
            self._observer.refused("not_ready", len(rows))
            raise NotReady(reason, retry_after=5.0)
        images = [
            QueuedImage(payload=row, pixels=int(row.image.shape[-1] * row.image.shape[-2]), deadline=deadline)
            for row in rows
        ]
        completion = Completion(images, asyncio.get_running_loop())
        try:
            self._batcher.submit(images)
        except ServiceError as error:
            self._observer.refused("shutting_down" if isinstance(error, ShuttingDown) else "queue", len(rows))
            raise
        try:
            in_time = await completion.wait(None if deadline is None else deadline - self._clock())
            if not in_time:
                self._expire(images)
        except asyncio.CancelledError:
            self._cancel(images)
            raise
        return [_answer(image) for image in images]

    def validate(self, artifact: Artifact) -> str:
        """Verify an artifact's golden scores and run its shapes, on every device, through the workers' own queues.

        Returns which golden images were judged, in words. Blocks for some device steps, so call it off the event loop;
        requests wait for one step at a time at most. Raises models.artifact.ArtifactError where the scores differ,
        NotReady where no device can run it.
        """
        return self._validator.validate(artifact, self._supervisor)

    def backends(self) -> dict[str, dict[str, str]]:
        """By device, each source in use with the backend that runs it and why."""
        return {device: runner.backends() for device, runner in self._supervisor.runners().items()}

    def give_back(self) -> None:
        """Give back memory that devices' backends keep between steps, as after the start."""
        for runner in self._supervisor.runners().values():
            runner.give_back()

    def ready(self) -> tuple[bool, str]:
        """Whether images can be judged now, and why not. Load never changes the answer."""
        if self.admission.closed:
            return False, "the service is shutting down"
        return self._supervisor.ready()

    def live(self) -> bool:
        """Whether the engine can still help itself: false only where its supervisor has died."""
        return self._supervisor.live()

    async def drain(self, limit_s: float) -> DrainReport:
        """Refuse newcomers (503), let those in flight finish for up to `limit_s` seconds, answer the rest, stop.

        In flight is what holds a permit or waits in the queue.
        """
        started = self._clock()
        self.admission.close()
        while (self.admission.images or len(self._batcher)) and self._clock() - started < limit_s:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        queued = len(self._batcher)
        left = max(self.admission.images, queued)
        self._batcher.close()
        self._batcher.abort(lambda: ShuttingDown("the service stopped before this image's turn came", retry_after=5.0))
        await asyncio.to_thread(self._supervisor.stop, 5.0)
        return DrainReport(seconds=self._clock() - started, left_images=left, left_in_queue=queued)

    def stop(self) -> None:
        """Stop at once: what waits is answered with ShuttingDown. For tests and for a start that failed."""
        self.admission.close()
        self._batcher.close()
        self._batcher.abort(lambda: ShuttingDown("the service stopped", retry_after=5.0))
        self._supervisor.stop(5.0)

    def _cancel(self, images: Sequence[QueuedImage]) -> None:
        open_images = [image for image in images if image.cancel()]
        queued = self._batcher.discard(open_images)
        self._observer.cancelled("queue", queued)
        self._observer.cancelled("device", len(open_images) - queued)

    def _expire(self, images: Sequence[QueuedImage]) -> None:
        open_images = [image for image in images if image.expire()]
        queued = self._batcher.discard(open_images)
        self._observer.expired("queue", queued)
        self._observer.expired("device", len(open_images) - queued)


def _answer(image: QueuedImage) -> TimedJudgement | ServiceError:
    if image.error is not None:
        return image.error
    judgement = image.verdict
    if not isinstance(judgement, Judgement):
        raise TypeError(f"an image was answered with {type(judgement).__name__}")
    return TimedJudgement(
        judgement.score, judgement.map, image.queue_s, image.device_s, image.batch_size, judgement.decided_by
    )
