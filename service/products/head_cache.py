"""Loaded versions in, leases on them out: which heads are in memory, who uses them, and which leave for others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple

from service.metrics import Metrics
from service.products.product import ProductVersion


class Key(NamedTuple):
    """One artifact as it was read: the same folder with other contents is another key."""

    name: str
    folder: str
    hash: str


@dataclass(slots=True)
class _Place:
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
        self._places: dict[Key, _Place] = {}

    def put(self, version: ProductVersion) -> Key:
        """Keep `version`; the least recently used that nobody leases leave until the budget holds."""
        key = key_of(version)
        with self._lock:
            if key not in self._places:
                self._places[key] = _Place(version, version.head.size_bytes)
            place = self._places[key]
            place.wanted = True
            place.used_at = self._clock()
            self._fit(key)
            self._report()
        return key

    def lease(self, key: Key) -> ProductVersion | None:
        """The version, held until `release`; None where it is not in memory."""
        with self._lock:
            place = self._places.get(key)
            if place is None:
                return None
            place.leases += 1
            place.used_at = self._clock()
            return place.version

    def release(self, key: Key) -> None:
        with self._lock:
            place = self._places[key]
            place.leases -= 1
            if not place.leases and not place.wanted:
                self._drop(key, "replaced")
            self._fit(key)
            self._report()

    def keep_only(self, name: str, keys: Collection[Key], reason: str) -> None:
        """Of this product nothing but `keys` is wanted any more; what is leased goes with its last lease."""
        with self._lock:
            for key, place in list(self._places.items()):
                if key.name == name and key not in keys:
                    place.wanted = False
                    if not place.leases:
                        self._drop(key, reason)
            self._report()

    def holds(self, key: Key) -> bool:
        with self._lock:
            return key in self._places

    def usage(self, name: str) -> tuple[int, int]:
        """Leases and bytes of one product, all its versions together."""
        with self._lock:
            places = [place for key, place in self._places.items() if key.name == name]
        return sum(place.leases for place in places), sum(place.size for place in places)

    def _fit(self, spared: Key) -> None:
        if not self._budget:
            return
        total = sum(place.size for place in self._places.values())
        idle = [(place.used_at, key) for key, place in self._places.items() if not place.leases and key != spared]
        for _, key in sorted(idle):
            if total <= self._budget:
                return
            total -= self._places[key].size
            self._drop(key, "budget")

    def _drop(self, key: Key, reason: str) -> None:
        del self._places[key]
        self._metrics.counter("mkd_head_unloads_total", reason=reason).inc()

    def _report(self) -> None:
        self._metrics.gauge("mkd_heads_loaded").set(len(self._places))
        self._metrics.gauge("mkd_head_bytes").set(sum(place.size for place in self._places.values()))


def key_of(version: ProductVersion) -> Key:
    return Key(version.name, version.folder, version.hash)
