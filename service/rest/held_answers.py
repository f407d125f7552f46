"""Holds answers back and lets those that are due at about the same time leave together.

Each wake-up of the event loop beside a busy network finds cold caches and puts a thread of the network aside, which
costs more than the answer itself. So answers that are held for long leave GROUP_S apart, all of a group in one turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

GROUP_S = 0.1


class Held(Protocol):
    """An answer that waits."""

    def cancel(self) -> None: ...


class HeldAnswers:
    """One for all connections of an event loop."""

    def __init__(self) -> None:
        self._groups: dict[int, dict[int, Callable[[], None]]] = {}
        self._number = 0

    def hold(self, loop: asyncio.AbstractEventLoop, seconds: float, answer: Callable[[], None]) -> Held:
        """Call `answer` on `loop` after `seconds`, or up to GROUP_S earlier where that is at most half of them."""
        if seconds < 2 * GROUP_S:
            return loop.call_later(seconds, answer)
        now = loop.time()
        due = int((now + seconds) / GROUP_S)
        if due not in self._groups:
            self._groups[due] = {}
            loop.call_later(max(0.0, due * GROUP_S - now), self._leave, due)
        self._number += 1
        self._groups[due][self._number] = answer
        return _InGroup(self._groups[due], self._number)

    def _leave(self, due: int) -> None:
        group = self._groups.pop(due)
        while group:
            answer = group.pop(next(iter(group)))
            try:
                answer()
            except Exception:  # one connection must not keep the others from their answers
                logging.getLogger("mkdserve").exception("fault in an answer that was held back")


class _InGroup:
    """One answer of a group."""

    def __init__(self, group: dict[int, Callable[[], None]], number: int) -> None:
        self._group, self._number = group, number

    def cancel(self) -> None:
        """It is not called, where it has not been."""
        self._group.pop(self._number, None)
