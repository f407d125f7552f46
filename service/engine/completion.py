"""Answered jobs in, one wake-up per event loop out: how worker threads answer the coroutines that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from service.engine.queued_image import Job


class Completion:
    """The jobs of one call and its coroutine. Made and awaited on one loop; every job must be answered once."""

    def __init__(self, jobs: Sequence[Job], loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._jobs = jobs
        self._done: asyncio.Future[None] = loop.create_future()
        for job in jobs:
            job.ticket = self

    def look(self) -> None:
        """On the loop's thread: some of the jobs have their answer. Looking once too often does no harm."""
        if not self._done.done() and all(job.settled for job in self._jobs):
            self._done.set_result(None)

    async def wait(self, seconds: float | None) -> bool:
        """True once every job is answered, False after `seconds`."""
        if seconds is None:
            await self._done
            return True
        done, _ = await asyncio.wait((self._done,), timeout=max(0.0, seconds))
        return bool(done)


def deliver(jobs: Iterable[Job]) -> int:
    """Wake the callers of these answered jobs from any thread; returns the wake-ups, one for each event loop.

    A wake-up per job would cost the loop more than the rest of its work on a small image.
    """
    by_loop: dict[asyncio.AbstractEventLoop, set[Completion]] = {}
    for job in jobs:
        if isinstance(job.ticket, Completion):
            by_loop.setdefault(job.ticket.loop, set()).add(job.ticket)
    woken = 0
    for loop, tickets in by_loop.items():
        try:
            loop.call_soon_threadsafe(_look, tickets)
        except RuntimeError:  # the loop is closed: nobody waits any more
            continue
        woken += 1
    return woken


def _look(tickets: set[Completion]) -> None:
    for ticket in tickets:
        ticket.look()
