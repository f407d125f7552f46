"""Takes of several ways to the same result the one that has been fastest lately, and tries the others now and then.

Whether two cores gain by sharing each layer depends on whether they share a cache and on what else they have to do. A
virtual machine's cores may move from minute to minute, so no measurement at the start says it for good.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
KEPT = 3  # times of each way; the least of them counts, as a call that was disturbed says nothing
TRY_EVERY = 32  # calls
GAIN = 0.95  # of the first way's time: a later one, which takes more processor time, must be that fast


class FastestWay(Generic[P, T]):
    """Calls one of `ways`, which give the same result; those that take less processor time come first."""

    def __init__(self, ways: Sequence[Callable[P, T]]) -> None:
        self._ways = ways
        self._seconds: list[deque[float]] = [deque(maxlen=KEPT) for _ in ways]
        self._calls = 0
        self._lock = threading.Lock()

    def __call__(self, *arguments: P.args, **named: P.kwargs) -> T:
        """The result of the chosen way, whose time is kept."""
        number = self._next()
        begun = time.perf_counter()
        found = self._ways[number](*arguments, **named)
        with self._lock:
            self._seconds[number].append(time.perf_counter() - begun)
        return found

    def _next(self) -> int:
        with self._lock:
            self._calls += 1
            new = [number for number, kept in enumerate(self._seconds) if len(kept) < KEPT]
            if new:
                return new[(self._calls - 1) % len(new)]
            if self._calls % TRY_EVERY == 0:
                return self._calls // TRY_EVERY % len(self._ways)
            least = [min(kept) for kept in self._seconds]
            best = min(range(len(least)), key=lambda number: least[number])
            return best if least[best] < GAIN * least[0] else 0
