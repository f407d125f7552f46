"""Answered images in, one wake-up per event loop out: how worker threads answer the coroutines that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from service.engine.queued_image import QueuedImage


class Completion:
    """The images of one call and its coroutine. Made and awaited on one loop; every image must be answered once."""

    def __init__(self, images: Sequence[QueuedImage], loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._jobs = images
        self._done: asyncio.Future[None] = loop.create_future()
        for image in images:
            image.completion = self

    def check(self) -> None:
        """On the loop's thread: some of the images have their answer. One call too many does no harm."""
        if not self._done.done() and all(image.settled for image in self._jobs):
            self._done.set_result(None)

    async def wait(self, seconds: float | None) -> bool:
        """True once every image is answered, False after `seconds`."""
        if seconds is None:
            await self._done
            return True
        done, _ = await asyncio.wait((self._done,), timeout=max(0.0, seconds))
        return bool(done)


def deliver(images: Iterable[QueuedImage]) -> int:
    """Wake the callers of these answered images from any thread; returns the wake-ups, one for each event loop.

    A wake-up per image would cost the loop more than the rest of its work on a small image.
    """
    by_loop: dict[asyncio.AbstractEventLoop, set[Completion]] = {}
    for image in images:
        if isinstance(image.completion, Completion):
            by_loop.setdefault(image.completion.loop, set()).add(image.completion)
    woken = 0
    for loop, completions in by_loop.items():
        try:
            loop.call_soon_threadsafe(_check_all, completions)
        except RuntimeError:  # the loop is closed: nobody waits any more
            continue
        woken += 1
    return woken


def _check_all(completions: set[Completion]) -> None:
    for completion in completions:
        completion.check()
