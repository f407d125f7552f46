"""Draws which parts people look at whatever their score is: a random share, so that what they find is no biased sample.

The draw for a part is made before the part is there, so no score can have a say in it.
"""

from __future__ import annotations

import os
import struct
from typing import Protocol

AT_ONCE = 256  # numbers asked of the system at a time: each time is a call of it on the event loop


class Source(Protocol):
    """Numbers from 0 up to 1, all equally likely (random.Random is one)."""

    def random(self) -> float: ...


class SystemSource:
    """Numbers that nobody can foretell, as of random.SystemRandom."""

    def __init__(self) -> None:
        self._numbers: list[int] = []

    def random(self) -> float:
        """The next one, of 53 bits."""
        if not self._numbers:
            self._numbers = list(struct.unpack(f"{AT_ONCE}Q", os.urandom(8 * AT_ONCE)))
        return (self._numbers.pop() >> 11) * 2.0**-53


class SpotChecks:
    """Independent draws with probability `share`; for one thread."""

    def __init__(self, share: float, source: Source | None = None) -> None:
        self.share = share
        self._source = source or SystemSource()
        self._next = self._draw()

    def take(self) -> bool:
        """Whether the part at hand was drawn, as decided before it came; the draw for the next one is made now."""
        drawn, self._next = self._next, self._draw()
        return drawn

    def _draw(self) -> bool:
        return self._source.random() < self.share
