"""Devices in, living workers out: starts one per device, notices when it dies or hangs, answers for it, replaces it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Protocol

from service.engine.batch_limit import BatchLimit
from service.engine.batcher import Batcher
from service.engine.device_slot import DeviceSlot
from service.engine.queued_image import Job
from service.engine.worker import RunnerT, Worker, WorkerObserver
from service.errors import InferenceFailed, NotReady
from service.logs import event

LOOK_S = 0.25  # a dead worker reports at once; this is for the one that hangs and for pauses that end
# Pauses before the second, third, ... restart without a batch in between; the first restart is immediate.
PAUSES_S = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
START_LIMIT_S = 300.0  # building and warming up may load weights and compile
BEYOND_HOPE = 7  # deaths without a batch in between after which only a new process can help (a dead CUDA context)


class SupervisorObserver(WorkerObserver, Protocol):
    def wake(self, jobs: list[Job]) -> None: ...

    def worker_died(self, device: str, cause: str) -> None: ...

    def memory_held(self, device: str, size: int) -> None: ...

    def worker_ready(self, device: str, ready: bool) -> None: ...


class Supervisor(Generic[RunnerT]):
    """The workers of all devices and the thread that watches them. Thread-safe.

    A job in hand of a worker that died is queued once more, in a batch of its own; if its worker dies again it is
    answered with InferenceFailed. A worker that hangs cannot be stopped: its jobs are answered, and it is left behind.
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
        self._posts = {device: DeviceSlot(device, build, limits[device]) for device, build in builders.items()}
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
        workers = [self._put_to_work(post) for post in self._posts.values()]
        for post, worker in zip(self._posts.values(), workers, strict=True):
            give_up_at = self._clock() + START_LIMIT_S
            while worker.alive and not worker.ready.wait(0.02) and self._clock() < give_up_at:
                pass
            if not worker.ready.is_set():
                self.stop(5.0)
                raise NotReady(f"{post.device} could not be taken into use: {worker.cause or 'it took too long'}")
            self._note_readiness(post)
        self._thread.start()

    def ready(self) -> tuple[bool, str]:
        """True while any device has a warmed-up worker; the reason also tells of devices that are down."""
        down = [f"{post.device}: {post.state}" for post in self._posts.values() if not post.ready]
        return len(down) < len(self._posts), "; ".join(down)

    def failed_reason(self) -> str | None:
        """Why nothing can be judged, once the supervisor has stopped expecting a quick recovery."""
        if all(post.failed for post in self._posts.values()):
            return "; ".join(f"{post.device}: {post.state}" for post in self._posts.values())
        return None

    def live(self) -> bool:
        """False where only a new process can help: the watch is dead, or every device is beyond hope."""
        beyond_hope = all(not post.ready and post.deaths >= BEYOND_HOPE for post in self._posts.values())
        return self._thread.is_alive() and not beyond_hope

    def states(self) -> dict[str, str]:
        return {device: post.state for device, post in self._posts.items()}

    @property
    def devices(self) -> tuple[str, ...]:
        return tuple(self._posts)

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
        post = self._posts[device]
        if not self._wait_ready(post, patience_s):
            if post.failed and any(other.ready for other in self._posts.values()):
                return
            raise NotReady(f"{device}: {post.state}", retry_after=5.0)
        if post.worker is not None and post.worker.runner is not None:
            prepare(post.worker.runner)
        for task in tasks:
            self._batcher.add_task(device, task).result()

    def stop(self, seconds: float) -> bool:
        """Retire every worker and wait for it up to `seconds`; whether all have ended. What they left is answered."""
        self._stopping = True
        self._news.set()
        self._batcher.close()
        if self._thread.is_alive():  # first, so that no worker is started behind our back
            self._thread.join(seconds)
        for post in self._posts.values():
            if post.worker is not None:
                post.worker.retire()
        ended = True
        for post in self._posts.values():
            if post.worker is not None:
                post.worker.join(seconds)
                post.worker.drop_task()
                ended &= not post.worker.alive
                self._answer_for(post.worker, "the service stopped", requeue=False)
            self._batcher.fail_tasks(post.device, NotReady("the service stopped"))
        return ended

    def _watch(self) -> None:
        while not self._stopping:
            self._news.wait(LOOK_S)
            self._news.clear()
            for post in self._posts.values():
                try:
                    self._look_after(post)
                except Exception as error:  # the watch must outlive whatever it looks after
                    event("supervisor", logging.ERROR, device=post.device, error=f"{type(error).__name__}: {error}")

    def _look_after(self, post: DeviceSlot[RunnerT]) -> None:
        worker = post.worker
        if self._stopping or self._batcher.closed:  # workers end because they were told to
            return
        if worker is None:
            if self._clock() >= post.restart_at:
                self._put_to_work(post)
            return
        if worker.served and post.deaths:
            post.deaths, post.cause = 0, None
        busy_since = worker.busy_since
        limit_s = self._stall_limit_s if worker.ready.is_set() else START_LIMIT_S
        if not worker.alive:
            self._bury(post, worker, worker.cause or "its thread ended", requeue=True)
        elif busy_since is not None and self._clock() - busy_since > limit_s:
            worker.retire()
            worker.drop_task()
            self._bury(post, worker, f"it hung for more than {limit_s:g} s", requeue=False)
        self._note_readiness(post)
        if worker.runner is not None and post.ready:
            self._observer.memory_held(post.device, worker.runner.memory_bytes())

    def _bury(self, post: DeviceSlot[RunnerT], worker: Worker[RunnerT], cause: str, *, requeue: bool) -> None:
        post.worker = None
        post.deaths += 1
        post.cause = cause
        post.restart_at = self._clock() + PAUSES_S[min(post.deaths, len(PAUSES_S)) - 1]
        self._observer.worker_died(post.device, cause)
        self._batcher.fail_tasks(post.device, NotReady(f"the worker of {post.device} was lost: {cause}"))
        self._answer_for(worker, cause, requeue=requeue)
        self._note_readiness(post)
        reason = self.failed_reason()
        if reason is not None:
            self._batcher.abort(lambda: NotReady(reason, retry_after=5.0))
        if self._clock() >= post.restart_at:
            self._put_to_work(post)

    def _answer_for(self, worker: Worker[RunnerT], cause: str, *, requeue: bool) -> None:
        again: list[Job] = []
        failed: list[Job] = []
        for job in list(worker.in_hand):
            job.lives -= 1
            if requeue and job.lives > 0 and not job.settled:
                again.append(job)
            elif job.fail(InferenceFailed(f"the worker that had this image was lost: {cause}")):
                failed.append(job)
        if failed:
            self._observer.answered(failed)
        # It may have died between giving an answer and telling the caller.
        self._observer.wake([job for job in worker.in_hand if job.settled])
        if again:
            self._batcher.requeue(again)

    def _put_to_work(self, post: DeviceSlot[RunnerT]) -> Worker[RunnerT]:
        worker = Worker(
            post.device,
            post.build,
            self._warm_up,
            self._batcher,
            post.limit,
            self._observer,
            measured=self._measured,
            changed=self._news.set,
            clock=self._clock,
        )
        worker.start()
        post.worker = worker
        return worker

    def _note_readiness(self, post: DeviceSlot[RunnerT]) -> None:
        if post.ready != post.was_ready:
            post.was_ready = post.ready
            self._observer.worker_ready(post.device, post.ready)
        with self._ready_changed:
            self._ready_changed.notify_all()

    def _wait_ready(self, post: DeviceSlot[RunnerT], seconds: float) -> bool:
        with self._ready_changed:
            return (
                self._ready_changed.wait_for(lambda: post.ready or post.failed or self._stopping, seconds)
                and post.ready
            )
