"""Measured device steps in, expected durations and the rate out. Pure arithmetic, no clock of its own."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from itertools import pairwise

NEWEST = 0.3  # weight of the newest measurement in the running means
WILD = 3.0  # one measurement counts as at most this many times the mean: a single hiccup must not refuse every request


@dataclass(frozen=True, slots=True)
class _Point:
    """Running means of the steps of about one size."""

    pixels: float
    images: float
    seconds: float


class LatencyModel:
    """How long a step takes, by its pixels. Thread-safe.

    Steps are kept apart by their size (powers of two) and the sizes between are interpolated, so that a quiet hour of
    single images does not make the service forget how fast full batches are.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._points: dict[int, _Point] = {}
        self._sorted: tuple[_Point, ...] = ()
        self._rate: float | None = None  # the best of them, asked for with every request

    def observe(self, images: int, pixels: int, seconds: float) -> None:
        """A step over `images` images of `pixels` in all took `seconds`."""
        with self._lock:
            size = pixels.bit_length()
            old = self._points.get(size)
            if old is None:
                point = _Point(pixels, images, seconds)
            else:
                seconds = min(seconds, WILD * old.seconds)
                point = _Point(
                    old.pixels + NEWEST * (pixels - old.pixels),
                    old.images + NEWEST * (images - old.images),
                    old.seconds + NEWEST * (seconds - old.seconds),
                )
            self._points[size] = point
            self._resort()

    def seconds(self, pixels: int) -> float:
        """Expected seconds of a step over `pixels`; 0 before any measurement."""
        points = self._sorted
        if not points:
            return 0.0
        if pixels <= points[0].pixels:
            return points[0].seconds
        for low, high in pairwise(points):
            if pixels <= high.pixels:
                share = (pixels - low.pixels) / (high.pixels - low.pixels)
                return low.seconds + share * (high.seconds - low.seconds)
        return points[-1].seconds * pixels / points[-1].pixels

    def longest_step_s(self) -> float:
        """Seconds of the largest steps seen; 0 before any measurement."""
        points = self._sorted
        return points[-1].seconds if points else 0.0

    def doubt(self) -> None:
        """Images were dropped on this estimate and nothing was left to measure: expect a fifth less, so that a stale
        estimate cannot refuse everything for ever."""
        with self._lock:
            for size, point in self._points.items():
                self._points[size] = _Point(point.pixels, point.images, point.seconds * 0.8)
            self._resort()

    def images_per_second(self, devices: int = 1) -> float | None:
        """The best rate seen over all step sizes, for `devices` devices together; None before any measurement."""
        return None if self._rate is None else self._rate * devices

    def _resort(self) -> None:
        self._sorted = tuple(sorted(self._points.values(), key=lambda point: point.pixels))
        self._rate = max((point.images / point.seconds for point in self._sorted if point.seconds > 0), default=None)
