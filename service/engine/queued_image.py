"""One image's place in the queue: what is to be judged in, exactly one answer out."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Protocol

from service.errors import DeadlineExceeded, RequestCancelled, ServiceError


class Waiter(Protocol):
    """Who waits for an image (service.engine.completion.Completion); the batcher and the worker only carry it along."""

    def check(self) -> None: ...


@dataclass(eq=False, slots=True)
class QueuedImage:
    """One image. `payload` is opaque to the queue; `pixels` is its size there; `deadline` a time of the engine's clock.

    Exactly one of `answer`, `fail`, `expire` and `cancel` takes effect, whichever thread comes first; it returns True.
    The fields below `completion` are filled in on the way and are read only after that.
    """

    payload: Any
    pixels: int = 1
    deadline: float | None = None
    completion: Waiter | None = None
    lives: int = 2  # workers that may die with this image in hand before it is given up
    alone: bool = False  # it was in hand when a worker died: it gets a batch of its own, away from its neighbours
    submitted_at: float = 0.0
    taken_at: float = 0.0
    verdict: Any = None
    error: ServiceError | None = None
    queue_s: float = 0.0
    device_s: float = 0.0
    batch_size: int = 0
    settled: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def answer(self, verdict: object, device_s: float, batch_size: int) -> bool:
        with self._lock:
            if self.settled:
                return False
            self.verdict, self.device_s, self.batch_size = verdict, device_s, batch_size
            self._settle()
        return True

    def fail(self, error: ServiceError) -> bool:
        with self._lock:
            if self.settled:
                return False
            self.error = error
            self._settle()
        return True

    def expire(self) -> bool:
        return self.fail(DeadlineExceeded("the deadline passed before the image was judged"))

    def cancel(self) -> bool:
        return self.fail(RequestCancelled("the client hung up"))

    def _settle(self) -> None:
        self.queue_s = max(0.0, self.taken_at - self.submitted_at)
        self.payload = None  # the pixels need not wait for the request to become garbage
        self.settled = True
