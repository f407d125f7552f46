"""Draws which parts people look at whatever their score is: a random share, so that what they find is no biased sample.

The draw for a part is made before the part is there, so no score can have a say in it.
"""

from __future__ import annotations

import random


class SpotChecks:
    """Independent draws with probability `share`; for one thread."""

    def __init__(self, share: float, source: random.Random | None = None) -> None:
        self.share = share
        self._source = source or random.SystemRandom()
        self._next = self._draw()

    def take(self) -> bool:
        """Whether the part at hand was drawn, as decided before it came; the draw for the next one is made now."""
        drawn, self._next = self._next, self._draw()
        return drawn

    def _draw(self) -> bool:
        return self._source.random() < self.share
