"""Makes a result once for all who ask for it at the same time or soon after, as pages that show one part do."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedResults(Generic[T]):
    """The newest `most` results by key. One that could not be made raises for all who wait, and is tried anew after."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._made: OrderedDict[Hashable, asyncio.Task[T]] = OrderedDict()

    async def get(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        """The result for `key`. Whoever gives up waiting stops nothing for the others."""
        task = self._made.get(key)
        if task is None:
            task = self._made[key] = asyncio.ensure_future(_run(make))
            task.add_done_callback(lambda done: self._keep(key, done))
        self._made.move_to_end(key)
        return await asyncio.shield(task)

    def _keep(self, key: Hashable, done: asyncio.Task[T]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._made.pop(key, None)
        while len(self._made) > self._most:
            self._made.popitem(last=False)


async def _run(make: Callable[[], Awaitable[T]]) -> T:
    return await make()
