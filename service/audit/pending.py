"""The queue of records between the event loop and the writing thread, in order, with a gap where some were dropped.

Bounded by bytes, as each entry holds its image until the writer has hashed it. Who puts never waits: where there is no
room the entry is dropped, and a `Gap` stands in its place, so that the chain itself tells what is missing, and when.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from service.audit.audit_record import Kind, time_text

ENTRY_BYTES = 1024  # what an entry takes beside its image, about


@dataclass(frozen=True)
class PendingRecord:
    """A verdict or an answer on its way to the chain. `at` is in seconds since 1970; `data` is the verdict's image, and
    `keep` asks for it on disk."""

    at: float
    members: Mapping[str, object]
    data: bytes = b""
    keep: bool = False
    kind: Kind = "verdict"

    @property
    def cost(self) -> int:
        return len(self.data) + ENTRY_BYTES


@dataclass
class Gap:
    """Records that were lost between two times, by reason."""

    first: float
    last: float
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def lost(self) -> int:
        return self.reasons.total()

    def members(self) -> dict[str, object]:
        """What the record of the gap says."""
        return {
            "lost": self.lost,
            "reasons": dict(self.reasons),
            "from": time_text(self.first),
            "to": time_text(self.last),
        }


class PendingRecords:
    """The queue between the event loop and the writer. Every method may be called from any thread."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._items: deque[PendingRecord | Gap] = deque()
        self._bytes = 0
        self._entries = 0
        self._closed = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return self._entries

    @property
    def is_closed(self) -> bool:
        return self._closed

    def put(self, entry: PendingRecord, reason: str) -> bool:
        """Take the entry, or drop it for `reason` where there is no room. An empty queue takes an entry of any size."""
        with self._changed:
            if self._closed or (self._entries and self._bytes + entry.cost > self._max_bytes):
                self._lose(entry.at, "closed" if self._closed else reason)
                return False
            self._items.append(entry)
            self._entries += 1
            self._bytes += entry.cost
            self._changed.notify()
            return True

    def take(self, timeout_s: float) -> PendingRecord | Gap | None:
        """The next in order; None where nothing came in time, or the queue is closed and empty."""
        with self._changed:
            if not self._items and not self._closed:
                self._changed.wait(timeout_s)
            if not self._items:
                return None
            item = self._items.popleft()
            if isinstance(item, PendingRecord):
                self._entries -= 1
                self._bytes -= item.cost
            return item

    def close(self) -> None:
        """Take nothing more, and let the writer finish what is here."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def clear(self) -> tuple[int, int]:
        """Drop all that waits; gives the number of entries, and of those that were lost before and now are not told."""
        with self._changed:
            entries, untold = self._entries, sum(item.lost for item in self._items if isinstance(item, Gap))
            self._items.clear()
            self._entries = self._bytes = 0
            return entries, untold

    def _lose(self, at: float, reason: str) -> None:
        last = self._items[-1] if self._items else None
        if not isinstance(last, Gap):
            last = Gap(at, at)
            self._items.append(last)
        last.last = at
        last.reasons[reason] += 1
