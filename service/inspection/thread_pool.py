"""The threads that decode and encode images outside the event loop.

Pillow and OpenCV let go of the interpreter while they work, so the threads run side by side. How much may wait for them
is bounded by the engine's permits: no image gets here that was not admitted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import cv2

P = ParamSpec("P")
T = TypeVar("T")


class WorkerThreads:
    """A fixed number of threads for decoding and encoding."""

    def __init__(self, threads: int) -> None:
        cv2.setNumThreads(1)  # the threads here are the parallelism; OpenCV's own would multiply them
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="mkd-image")

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of the call; cancelling drops a call that has not begun."""
        return await asyncio.wrap_future(self._pool.submit(function, *args, **kwargs))

    def close(self) -> None:
        """Wait for what runs, drop what waits."""
        self._pool.shutdown(wait=True, cancel_futures=True)
