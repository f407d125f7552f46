"""Out-of-memory and success in, the most a batch may hold out. Pure logic with an injected clock, one per device."""

from __future__ import annotations

from collections.abc import Callable

PATIENCE_GROWTH = 2.0
MOST_PATIENCE = 32.0  # times `recover_s`


class BatchLimit:
    """Count and pixels of a batch at most. Running out of memory halves both; quiet time doubles them again.

    Each further out-of-memory doubles the quiet time that is asked for, so that a device which can never hold the
    configured batch does not run out of memory every minute. Used by one worker; reading is safe from any thread.
    """

    def __init__(self, images: int, pixels: int, *, recover_s: float, clock: Callable[[], float]) -> None:
        self.most_images, self.most_pixels = images, pixels
        self.images, self.pixels = images, pixels
        self._recover_s = recover_s
        self._patience = 1.0
        self._clock = clock
        self._quiet_since = clock()

    @property
    def reduced(self) -> bool:
        return self.images < self.most_images or self.pixels < self.most_pixels

    def halve(self, images: int, pixels: int) -> None:
        """A batch of this size ran out of memory: from now on at most half of it."""
        if self.reduced:
            self._patience = min(MOST_PATIENCE, self._patience * PATIENCE_GROWTH)
        self.images = min(self.images, max(1, images // 2))
        self.pixels = min(self.pixels, max(1, pixels // 2))
        self._quiet_since = self._clock()

    def succeeded(self) -> bool:
        """A batch fitted. True where that raised the limit."""
        now = self._clock()
        if not self.reduced or now - self._quiet_since < self._recover_s * self._patience:
            return False
        self.images = min(self.most_images, self.images * 2)
        self.pixels = min(self.most_pixels, self.pixels * 2)
        self._quiet_since = now
        if not self.reduced:
            self._patience = 1.0
        return True
