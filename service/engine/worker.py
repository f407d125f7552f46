"""Batches of one device in, an answer for each image out: the thread that owns a device, and its three kinds of fault.

the step raises or answers wrongly -> the batch is split and retried until the culprit is alone; it alone fails
out of memory                      -> the same, and the batch limit is halved
the device or the thread is lost   -> the thread ends; the supervisor answers for what it had in hand
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

from service.engine.batch_limit import BatchLimit
from service.engine.batcher import Batcher, MaintenanceTask
from service.engine.forming import Batch, Reason
from service.engine.queued_image import QueuedImage
from service.errors import InferenceFailed, NotReady

RunnerT = TypeVar("RunnerT", bound="Runner")
FaultKind = Literal["images", "memory", "lost"]


class Runner(Protocol):
    """A device taken into use. All calls are made on the worker's thread."""

    def step(self, payloads: Sequence[Any]) -> Sequence[object]:
        """One verdict for each payload, in order."""

    def complaint(self, payload: Any, verdict: object) -> str | None:
        """What is wrong with this verdict for this payload, if anything."""

    def diagnose(self, error: Exception) -> FaultKind:
        """Whether an exception of `step` is due to its images, to too little memory, or to a device that is lost."""

    def relieve(self) -> None:
        """Give cached memory back, after running out of it."""

    def memory_bytes(self) -> int:
        """Memory held on the device; from any thread."""


class WorkerObserver(Protocol):
    """Who is told. Calls come from worker threads and must not block."""

    def answered(self, images: list[QueuedImage]) -> None: ...

    def stepped(self, device: str, images: int, seconds: float, reason: Reason) -> None: ...

    def step_failed(self, device: str, error: str) -> None: ...

    def memory_split(self, device: str, images: int) -> None: ...

    def limit_changed(self, device: str, images: int) -> None: ...


class LostDeviceError(Exception):
    """The device answers nothing any more; only a new worker can help."""


@dataclass(frozen=True, slots=True)
class _Fault:
    """What went wrong in a step, as text: holding the exception would hold the step's tensors."""

    kind: FaultKind
    text: str


class Worker(Generic[RunnerT]):
    """A thread that builds a runner, warms it up, and serves batches until it is retired, drained or dead.

    `ended` is called as the thread's last act, from that thread. Afterwards `cause` says why it died (None: it was told
    to), and `in_hand` holds the images it may have left.
    """

    def __init__(
        self,
        device: str,
        build: Callable[[], RunnerT],
        warm_up: Callable[[RunnerT, str], None],
        batcher: Batcher,
        limit: BatchLimit,
        observer: WorkerObserver,
        *,
        measured: Callable[[int, int, float], None],
        changed: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self.device = device
        self.ready = threading.Event()
        self.cause: str | None = None
        self.retired = False
        self.in_hand: list[QueuedImage] = []
        self.busy_since: float | None = clock()  # building and warming up count as busy
        self.served = 0  # batches that went well
        self._task: MaintenanceTask | None = None
        self.runner: RunnerT | None = None
        self._build = build
        self._warm_up = warm_up
        self._batcher = batcher
        self._limit = limit
        self._observer = observer
        self._measured = measured
        self._changed = changed
        self._clock = clock
        self._thread = threading.Thread(target=self._run, name=f"worker-{device}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def retire(self) -> None:
        """Serve nothing more; a step that hangs is left behind and its late answers are ignored."""
        self.retired = True
        self._batcher.wake()

    def drop_task(self) -> None:
        """The worker died or hangs in a task: tell whoever waits for it."""
        if self._task is not None:
            self._task.end(NotReady(f"the worker of {self.device} was lost: {self.cause}"))

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            runner = self.runner = self._build()
            self._warm_up(runner, self.device)
            self.busy_since = None
            if not self.retired:
                self.ready.set()
                self._changed()
                self._serve_all(runner)
        except BaseException as error:  # whatever ends this thread must be seen by the supervisor
            self.cause = f"{type(error).__name__}: {error}"
            self.drop_task()
        finally:
            self.ready.clear()
            self._changed()

    def _serve_all(self, runner: Runner) -> None:
        while (work := self._batcher.take(self.device, self._limit, lambda: self.retired, self._hold)) is not None:
            self.busy_since = self._clock()
            if isinstance(work, MaintenanceTask):
                self._run_task(runner, work)
            else:
                self._serve(runner, work)
                self.in_hand = [image for image in self.in_hand if not image.settled]  # not empty where it was retired
            self.busy_since = None

    def _hold(self, images: list[QueuedImage]) -> None:
        self.in_hand = images

    def _run_task(self, runner: Runner, task: MaintenanceTask) -> None:
        self._task = task
        try:
            task.run(runner)
        except Exception as error:
            task.end(error)
            if runner.diagnose(error) == "lost":
                raise
        else:
            task.end()
        self._task = None

    def _serve(self, runner: Runner, batch: Batch) -> None:
        """Depth first through the halves of a batch that fails, so that answers keep the order of arrival."""
        parts: list[list[QueuedImage]] = [batch.images]
        reason = batch.reason
        while parts and not self.retired:
            images = parts.pop()
            if len(images) > self._limit.images:  # it was halved since this batch was formed
                parts += _halves(images)
                continue
            fault = self._step(runner, images, reason)
            reason = "retry"
            if fault is None:
                continue
            self._observer.step_failed(self.device, fault.text)
            if fault.kind == "lost":
                raise LostDeviceError(fault.text)
            if fault.kind == "memory":
                self._make_room(runner, images)
            if len(images) == 1:
                self._fail(images, fault)
            else:
                parts += _halves(images)

    def _step(self, runner: Runner, images: list[QueuedImage], reason: Reason) -> _Fault | None:
        # A payload goes when its image is answered: cancelled or expired since the batch was formed, say.
        wanted = [(image, payload) for image in images if (payload := image.payload) is not None]
        if not wanted:
            return None
        images, payloads = [image for image, _ in wanted], [payload for _, payload in wanted]
        pixels = sum(image.pixels for image in images)
        started = self._clock()
        try:
            verdicts = runner.step(payloads)
            if len(verdicts) != len(images):
                return _Fault("images", f"{len(verdicts)} verdicts came back for {len(images)} images")
            complaints = [
                runner.complaint(payload, verdict) for payload, verdict in zip(payloads, verdicts, strict=True)
            ]
        except Exception as error:
            return _Fault(runner.diagnose(error), f"{type(error).__name__}: {error}")
        seconds = self._clock() - started
        if not self.retired:  # else it may have hung, and its time says nothing
            self._measured(len(images), pixels, seconds)
        self._observer.stepped(self.device, len(images), seconds, reason)
        self._answer(images, verdicts, complaints, seconds)
        self.served += 1
        if self._limit.succeeded():
            self._observer.limit_changed(self.device, self._limit.images)
        return None

    def _answer(
        self, images: list[QueuedImage], verdicts: Sequence[object], complaints: Sequence[str | None], seconds: float
    ) -> None:
        answered = []
        for image, verdict, complaint in zip(images, verdicts, complaints, strict=True):
            if complaint is not None:
                self._observer.step_failed(self.device, complaint)
                if image.fail(InferenceFailed(f"the network's answer is not usable: {complaint}")):
                    answered.append(image)
            elif image.answer(verdict, seconds, len(images)):
                answered.append(image)
        self._observer.answered(answered)

    def _fail(self, images: list[QueuedImage], fault: _Fault) -> None:
        detail = "one image alone does not fit the device's memory" if fault.kind == "memory" else fault.text
        self._observer.answered([image for image in images if image.fail(InferenceFailed(detail))])

    def _make_room(self, runner: Runner, images: list[QueuedImage]) -> None:
        runner.relieve()
        if len(images) > 1:
            self._limit.halve(len(images), sum(image.pixels for image in images))
            self._observer.memory_split(self.device, len(images))
            self._observer.limit_changed(self.device, self._limit.images)


def _halves(images: list[QueuedImage]) -> list[list[QueuedImage]]:
    """The second half, then the first: the end of a list of parts is served next."""
    half = (len(images) + 1) // 2
    return [images[half:], images[:half]]
