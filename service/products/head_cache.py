"""Keeps heads in memory within a budget: which versions are loaded, who uses them, and which leave for others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass

from service.metrics import Metrics
from service.products.product import ProductVersion, VersionKey


@dataclass(slots=True)
class _Entry:
    version: ProductVersion
    size: int
    leases: int = 0
    used_at: float = 0.0
    wanted: bool = True  # otherwise it goes with its last lease


class HeadCache:
    """Thread-safe. `budget` is bytes of head tensors, 0 for no limit; what is leased or was put last always stays."""

    def __init__(self, budget: int, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._budget = budget
        self._metrics = metrics
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[VersionKey, _Entry] = {}

    def put(self, version: ProductVersion) -> VersionKey:
        """Keep `version`; the least recently used that nobody leases leave until the budget holds."""
        key = version.key
        with self._lock:
            if key not in self._entries:
                self._entries[key] = _Entry(version, version.head.size_bytes)
            entry = self._entries[key]
            entry.wanted = True
            entry.used_at = self._clock()
            self._fit(key)
            self._report()
        return key

    def lease(self, key: VersionKey) -> ProductVersion | None:
        """The version, held until `release`; None where it is not in memory."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            entry.leases += 1
            entry.used_at = self._clock()
            return entry.version

    def find(self, name: str, hash_: str) -> VersionKey | None:
        """A version of `name` in memory with these contents; None where there is none."""
        with self._lock:
            return next((key for key in self._entries if key.name == name and key.hash == hash_), None)

    def release(self, key: VersionKey) -> None:
        with self._lock:
            entry = self._entries[key]
            entry.leases -= 1
            if not entry.leases and not entry.wanted:
                self._drop(key, "replaced")
            self._fit(key)
            self._report()

    def keep_only(self, name: str, keys: Collection[VersionKey], reason: str) -> None:
        """Of this product nothing but `keys` is wanted any more; what is leased goes with its last lease."""
        with self._lock:
            for key, entry in list(self._entries.items()):
                if key.name == name and key not in keys:
                    entry.wanted = False
                    if not entry.leases:
                        self._drop(key, reason)
            self._report()

    def holds(self, key: VersionKey) -> bool:
        with self._lock:
            return key in self._entries

    def usage(self, name: str) -> tuple[int, int]:
        """Leases and bytes of one product, all its versions together."""
        with self._lock:
            entries = [entry for key, entry in self._entries.items() if key.name == name]
        return sum(entry.leases for entry in entries), sum(entry.size for entry in entries)

    def _fit(self, spared: VersionKey) -> None:
        if not self._budget:
            return
        total = sum(entry.size for entry in self._entries.values())
        idle = [(entry.used_at, key) for key, entry in self._entries.items() if not entry.leases and key != spared]
        for _, key in sorted(idle):
            if total <= self._budget:
                return
            total -= self._entries[key].size
            self._drop(key, "budget")

    def _drop(self, key: VersionKey, reason: str) -> None:
        del self._entries[key]
        self._metrics.counter("mkd_head_unloads_total", reason=reason).inc()

    def _report(self) -> None:
        self._metrics.gauge("mkd_heads_loaded").set(len(self._entries))
        self._metrics.gauge("mkd_head_bytes").set(sum(entry.size for entry in self._entries.values()))
