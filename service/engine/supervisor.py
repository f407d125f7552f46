"""Devices in, living workers out: starts one per device, notices when it dies or hangs, answers for it, replaces it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Protocol

from service.engine.batch_limit import BatchLimit
from service.engine.batcher import Batcher
from service.engine.device_slot import DeviceSlot
from service.engine.queued_image import QueuedImage
from service.engine.worker import RunnerT, Worker, WorkerObserver
from service.errors import InferenceFailed, NotReady
from service.logs import event

LOOK_S = 0.25  # a dead worker reports at once; this is for the one that hangs and for pauses that end
# Pauses before the second, third, ... restart without a batch in between; the first restart is immediate.
PAUSES_S = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
START_LIMIT_S = 300.0  # building and warming up may load weights and compile
# Deaths without a batch in between after which only a new process can help (a dead CUDA context).
NEEDS_A_NEW_PROCESS = 7


class SupervisorObserver(WorkerObserver, Protocol):
    def wake(self, images: list[QueuedImage]) -> None: ...

    def worker_died(self, device: str, cause: str) -> None: ...

    def memory_held(self, device: str, size: int) -> None: ...

    def worker_ready(self, device: str, ready: bool) -> None: ...


class Supervisor(Generic[RunnerT]):
    """The workers of all devices and the thread that watches them. Thread-safe.

    An image in hand of a worker that died is queued once more, in a batch of its own; if its worker dies again it is
    answered with InferenceFailed. A worker that hangs cannot be stopped: its images are answered and it is left alone.
    """

    def __init__(
        self,
        builders: Mapping[str, Callable[[], RunnerT]],
        batcher: Batcher,
        limits: Mapping[str, BatchLimit],
        observer: SupervisorObserver,
        *,
        warm_up: Callable[[RunnerT, str], None],
        measured: Callable[[int, int, float], None],
        stall_limit_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._slots = {device: DeviceSlot(device, build, limits[device]) for device, build in builders.items()}
        self._batcher = batcher
        self._observer = observer
        self._warm_up = warm_up
        self._measured = measured
        self._stall_limit_s = stall_limit_s
        self._clock = clock
        self._stopping = False
        self._news = threading.Event()
        self._ready_changed = threading.Condition()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        """Blocks until every device is ready. Raises NotReady, everything stopped again, where one is not."""
        workers = [self._start_worker(slot) for slot in self._slots.values()]
        for slot, worker in zip(self._slots.values(), workers, strict=True):
            give_up_at = self._clock() + START_LIMIT_S
            while worker.alive and not worker.ready.wait(0.02) and self._clock() < give_up_at:
                pass
            if not worker.ready.is_set():
                self.stop(5.0)
                raise NotReady(f"{slot.device} could not be taken into use: {worker.cause or 'it took too long'}")
            self._note_readiness(slot)
        self._thread.start()

    def ready(self) -> tuple[bool, str]:
        """True while any device has a warmed-up worker; the reason also tells of devices that are down."""
        down = [f"{slot.device}: {slot.state}" for slot in self._slots.values() if not slot.ready]
        return len(down) < len(self._slots), "; ".join(down)

    def failed_reason(self) -> str | None:
        """Why nothing can be judged, once the supervisor has stopped expecting a quick recovery."""
        if all(slot.failed for slot in self._slots.values()):
            return "; ".join(f"{slot.device}: {slot.state}" for slot in self._slots.values())
        return None

    def live(self) -> bool:
        """False where only a new process can help: the watch is dead, or no device can be had again."""
        unrecoverable = all(not slot.ready and slot.deaths >= NEEDS_A_NEW_PROCESS for slot in self._slots.values())
        return self._thread.is_alive() and not unrecoverable

    @property
    def devices(self) -> tuple[str, ...]:
        return tuple(self._slots)

    def runners(self) -> dict[str, RunnerT]:
        """The devices that serve now, each with its runner."""
        slots = {name: slot.worker for name, slot in self._slots.items() if slot.ready}
        return {
            name: worker.runner for name, worker in slots.items() if worker is not None and worker.runner is not None
        }

    def run_on(
        self,
        device: str,
        prepare: Callable[[RunnerT], None],
        tasks: Sequence[Callable[[RunnerT], None]],
        *,
        patience_s: float,
    ) -> None:
        """On the calling thread `prepare`, then each task on the device's worker between two batches; blocks.

        Raises what they raise, or NotReady where the worker is lost or not there within `patience_s`. A device that is
        given up is passed over while another one serves: its next worker warms everything up before it does.
        """
        slot = self._slots[device]
        if not self._wait_ready(slot, patience_s):
            if slot.failed and any(other.ready for other in self._slots.values()):
                return
            raise NotReady(f"{device}: {slot.state}", retry_after=5.0)
        if slot.worker is not None and slot.worker.runner is not None:
            prepare(slot.worker.runner)
        for task in tasks:
            self._batcher.add_task(device, task).result()

    def stop(self, seconds: float) -> bool:
        """Retire every worker and wait for it up to `seconds`; whether all have ended. What they left is answered."""
        self._stopping = True
        self._news.set()
        self._batcher.close()
        if self._thread.is_alive():  # first, so that no worker is started behind our back
            self._thread.join(seconds)
        for slot in self._slots.values():
            if slot.worker is not None:
                slot.worker.retire()
        ended = True
        for slot in self._slots.values():
            if slot.worker is not None:
                slot.worker.join(seconds)
                slot.worker.drop_task()
                ended &= not slot.worker.alive
                self._settle_in_hand(slot.worker, "the service stopped", requeue=False)
            self._batcher.fail_tasks(slot.device, NotReady("the service stopped"))
        return ended

    def _watch(self) -> None:
        while not self._stopping:
            self._news.wait(LOOK_S)
            self._news.clear()
            for slot in self._slots.values():
                try:
                    self._check(slot)
                except Exception as error:  # the watch must outlive whatever it looks after
                    event("supervisor", logging.ERROR, device=slot.device, error=f"{type(error).__name__}: {error}")

    def _check(self, slot: DeviceSlot[RunnerT]) -> None:
        worker = slot.worker
        if self._stopping or self._batcher.closed:  # workers end because they were told to
            return
        if worker is None:
            if self._clock() >= slot.restart_at:
                self._start_worker(slot)
            return
        if worker.served and slot.deaths:
            slot.deaths, slot.cause = 0, None
        busy_since = worker.busy_since
        limit_s = self._stall_limit_s if worker.ready.is_set() else START_LIMIT_S
        if not worker.alive:
            self._replace_lost(slot, worker, worker.cause or "its thread ended", requeue=True)
        elif busy_since is not None and self._clock() - busy_since > limit_s:
            worker.retire()
            worker.drop_task()
            self._replace_lost(slot, worker, f"it hung for more than {limit_s:g} s", requeue=False)
        self._note_readiness(slot)
        if worker.runner is not None and slot.ready:
            self._observer.memory_held(slot.device, worker.runner.memory_bytes())

    def _replace_lost(self, slot: DeviceSlot[RunnerT], worker: Worker[RunnerT], cause: str, *, requeue: bool) -> None:
        slot.worker = None
        slot.deaths += 1
        slot.cause = cause
        slot.restart_at = self._clock() + PAUSES_S[min(slot.deaths, len(PAUSES_S)) - 1]
        self._observer.worker_died(slot.device, cause)
        self._batcher.fail_tasks(slot.device, NotReady(f"the worker of {slot.device} was lost: {cause}"))
        self._settle_in_hand(worker, cause, requeue=requeue)
        self._note_readiness(slot)
        reason = self.failed_reason()
        if reason is not None:
            self._batcher.abort(lambda: NotReady(reason, retry_after=5.0))
        if self._clock() >= slot.restart_at:
            self._start_worker(slot)

    def _settle_in_hand(self, worker: Worker[RunnerT], cause: str, *, requeue: bool) -> None:
        again: list[QueuedImage] = []
        failed: list[QueuedImage] = []
        for image in list(worker.in_hand):
            image.lives -= 1
            if requeue and image.lives > 0 and not image.settled:
                again.append(image)
            elif image.fail(InferenceFailed(f"the worker that had this image was lost: {cause}")):
                failed.append(image)
        if failed:
            self._observer.answered(failed)
        # It may have died between giving an answer and telling the caller.
        self._observer.wake([image for image in worker.in_hand if image.settled])
        if again:
            self._batcher.requeue(again)

    def _start_worker(self, slot: DeviceSlot[RunnerT]) -> Worker[RunnerT]:
        worker = Worker(
            slot.device,
            slot.build,
            self._warm_up,
            self._batcher,
            slot.limit,
            self._observer,
            measured=self._measured,
            changed=self._news.set,
            clock=self._clock,
        )
        worker.start()
        slot.worker = worker
        return worker

    def _note_readiness(self, slot: DeviceSlot[RunnerT]) -> None:
        if slot.ready != slot.was_ready:
            slot.was_ready = slot.ready
            self._observer.worker_ready(slot.device, slot.ready)
        with self._ready_changed:
            self._ready_changed.notify_all()

    def _wait_ready(self, slot: DeviceSlot[RunnerT], seconds: float) -> bool:
        with self._ready_changed:
            return (
                self._ready_changed.wait_for(lambda: slot.ready or slot.failed or self._stopping, seconds)
                and slot.ready
            )
