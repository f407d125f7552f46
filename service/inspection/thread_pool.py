"""Threads that decode and encode images outside the event loop, each call within a budget of processor time.

Pillow and OpenCV let go of the interpreter while they work, so the threads run side by side. How much may wait for them
is bounded by the engine's permits: no image gets here that was not admitted. A decoder that has begun cannot be stopped
from outside. So a thread whose call is over its budget is left to itself, and another one takes its place: the next
images do not wait for it.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

import cv2

from service.logs import event

P = ParamSpec("P")
T = TypeVar("T")
WALL_TIMES = 10.0  # the budget's seconds on the clock, for a call that hangs without computing
MOST_LEFT = 16  # threads left to themselves that still run; beyond it only a new process helps


class OverBudget(Exception):
    """The call took more processor time than it was given; nobody waits for it any more."""


class _Call:
    """One call on its way through the threads, and who waits for it."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[Any] = self.loop.create_future()
        self.thread: _Worker | None = None  # once it has begun
        self.begun_at = self.cpu_at = 0.0  # on the clock, and in processor time of the thread
        self.ended = False
        self.timer: asyncio.TimerHandle | None = None
        self._work = work

    def run(self) -> None:
        """On the worker's thread."""
        result, error = None, None
        try:
            result = self._work()
        except BaseException as raised:
            error = raised
        self.ended = True
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(self._answer, result, error)

    def _answer(self, result: object, error: BaseException | None) -> None:
        if self.done.done():
            return
        if error is not None:
            self.done.set_exception(error)
        else:
            self.done.set_result(result)


class _Worker(threading.Thread):
    """Takes calls from the queue until it gets None, or until it has been left to itself."""

    def __init__(self, calls: queue.SimpleQueue[_Call | None], number: int) -> None:
        super().__init__(name=f"mkd-image-{number}", daemon=True)
        self.is_left = False
        self._calls = calls

    def run(self) -> None:
        while not self.is_left:
            call = self._calls.get()
            if call is None:
                if self.is_left:  # meanwhile: the sign to end is another thread's
                    self._calls.put(None)
                return
            call.begun_at, call.cpu_at, call.thread = time.monotonic(), self.cpu_s(), self
            if call.done.done():  # cancelled while it waited
                call.ended = True
            else:
                call.run()
            del call  # nothing of the picture stays while this thread waits

    def cpu_s(self) -> float:
        """Processor time of this thread so far; by the clock where the system does not tell."""
        try:
            return time.clock_gettime(time.pthread_getcpuclockid(self.ident or 0))
        except (AttributeError, OSError):
            return time.monotonic()


class WorkerThreads:
    """A fixed number of threads for decoding and encoding; used on the event loop.

    `budget_s` is the processor time of one call, 0 for any; `overrun` is told of each call beyond it.
    """

    def __init__(self, threads: int, budget_s: float = 0.0, overrun: Callable[[], None] = lambda: None) -> None:
        cv2.setNumThreads(1)  # the threads here are the parallelism; OpenCV's own would multiply them
        self._budget_s = budget_s
        self._overrun = overrun
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._workers: list[_Worker] = []
        self._left: list[_Worker] = []
        self._number = 0
        for _ in range(threads):
            self._add()

    def live(self) -> bool:
        """Whether fewer than MOST_LEFT threads run on that nobody waits for."""
        self._left = [worker for worker in self._left if worker.is_alive()]
        return len(self._left) < MOST_LEFT

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of the call; cancelling drops a call that has not begun. Raises OverBudget."""
        call = _Call(lambda: function(*args, **kwargs))
        self._calls.put(call)
        if self._budget_s:
            self._look(call)
        try:
            result: T = await call.done
            return result
        finally:
            # One that runs on for nobody, its request being over, is looked at until it ends.
            if call.timer is not None and (call.ended or call.thread is None):
                call.timer.cancel()

    def close(self) -> None:
        """Wait for what runs, but for what has been left to itself; drop what waits."""
        while True:
            try:
                self._calls.get_nowait()
            except queue.Empty:
                break
        for _ in self._workers:
            self._calls.put(None)
        for worker in self._workers:
            worker.join()
        self._workers.clear()

    def _add(self) -> None:
        self._number += 1
        self._workers.append(_Worker(self._calls, self._number))
        self._workers[-1].start()

    def _look(self, call: _Call) -> None:
        """Now, and again when the budget may be over."""
        left_s, thread = self._budget_s, call.thread
        if call.ended:
            return
        if thread is not None:
            left_s -= thread.cpu_s() - call.cpu_at
            if left_s <= 0 or time.monotonic() - call.begun_at > WALL_TIMES * self._budget_s:
                self._leave(call, thread)
                return
        call.timer = call.loop.call_later(max(left_s, self._budget_s / 20), self._look, call)

    def _leave(self, call: _Call, thread: _Worker) -> None:
        """Nobody waits for this thread any more; a new one takes its place, as long as not too many have been left."""
        self._overrun()
        event("image call over its budget", budget_s=self._budget_s, seconds=round(time.monotonic() - call.begun_at, 2))
        if self.live() and thread in self._workers:
            thread.is_left = True
            self._workers.remove(thread)
            self._left.append(thread)
            self._add()
        if not call.done.done():
            call.done.set_exception(OverBudget)
