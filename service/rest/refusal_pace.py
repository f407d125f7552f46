"""Says for how long a refusal is held back, so that clients who ask again at once cost the accepted work little.

The first refusals of a caller leave at once. Beyond `BURST` they leave one after the other, `PER_SECOND` of them; on
one connection each wait is twice the one before until its client waits as long as it was told to. A refusal that is
held costs a timer and its connection, and no more than `MOST_HELD` are held at a time: the others leave at once and
end their connections.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PER_SECOND = 32.0
BURST = 8
MOST_S = 2.0
FIRST_S = 0.01
MOST_HELD = 1024
MOST_CALLERS = 4096


class RefusalPace:
    """One for all connections of a process; used on the event loop only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.held = 0
        self._clock = clock
        self._next: dict[str, float] = {}  # caller -> when its next refusal is due, at the earliest

    def hold_s(self, caller: str, in_a_row: int = 1) -> float:
        """Seconds to hold this refusal of `caller`, the `in_a_row`-th on its connection; 0 for not at all."""
        now = self._clock()
        if len(self._next) >= MOST_CALLERS:
            self._next = {name: due for name, due in self._next.items() if due > now}
        due = max(self._next.get(caller, 0.0), now - BURST / PER_SECOND) + 1 / PER_SECOND
        own_s = FIRST_S * 2.0 ** min(in_a_row - 2, 16) if in_a_row > 1 else 0.0
        self._next[caller] = min(due, now + MOST_S)
        return min(MOST_S, max(0.0, due - now, own_s))

    @property
    def full(self) -> bool:
        """Whether no more may be held."""
        return self.held >= MOST_HELD

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Count one connection as held for the time of the block."""
        self.held += 1
        try:
            yield
        finally:
            self.held -= 1
