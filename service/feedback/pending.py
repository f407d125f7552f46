"""The queue of verdicts between the event loop and the thread that stores them, bounded by the bytes of pictures in it.

Who puts never waits: where there is no room, the verdict is dropped. What was taken counts until it is stored, so that
the bound holds for all that is in memory.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

ENTRY_BYTES = 2048  # what an entry takes beside its picture, about


@dataclass(frozen=True, slots=True)
class PendingVerdict:
    """One verdict on its way: the columns of its row, and its picture where that is kept, else no bytes."""

    columns: dict[str, object]
    data: bytes

    @property
    def cost(self) -> int:
        return len(self.data) + ENTRY_BYTES


class PendingVerdicts:
    """The queue. Every method may be called from any thread."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._waiting: deque[PendingVerdict] = deque()
        self._bytes = self._entries = 0  # of those that wait and those that were taken
        self._is_closed = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return self._entries

    @property
    def is_closed(self) -> bool:
        """Whether nothing is taken any more."""
        return self._is_closed

    def put(self, entry: PendingVerdict) -> bool:
        """Take the entry, or say that there is no room. An empty queue takes an entry of any size."""
        with self._changed:
            if self._is_closed or (self._entries and self._bytes + entry.cost > self._max_bytes):
                return False
            self._waiting.append(entry)
            self._entries += 1
            self._bytes += entry.cost
            self._changed.notify()
            return True

    def take(self, most: int, timeout_s: float) -> list[PendingVerdict]:
        """The next ones in order; none where nothing came in time. Each has to be given to `done`."""
        with self._changed:
            if not self._waiting and not self._is_closed:
                self._changed.wait(timeout_s)
            return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    def done(self, entries: Sequence[PendingVerdict]) -> None:
        """These are stored or given up: their room is free."""
        with self._changed:
            self._entries -= len(entries)
            self._bytes -= sum(entry.cost for entry in entries)

    def close(self) -> None:
        """Take nothing more, and let the writer finish what is here."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
