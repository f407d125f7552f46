"""Runs coroutines for callers that have no event loop: in a thread of its own, from any number of threads at a time."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """An event loop in a daemon thread, until `close` or until nobody holds it any more."""

    def __init__(self) -> None:
        started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        thread = threading.Thread(target=_serve, args=(started,), name="mkdserve-client", daemon=True)
        thread.start()
        self._loop, ended = started.result()
        self._process = os.getpid()
        self._end = weakref.finalize(self, _stop, self._loop, ended, thread, self._process)

    @property
    def alive(self) -> bool:
        """Whether it has not been closed."""
        return self._end.alive

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, waited for here. Raises RuntimeError after `close`, and in a forked process."""
        if not self.alive or os.getpid() != self._process:
            work.close()
            raise RuntimeError("the client is closed, or was made before a fork: make one in each process")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:  # an interrupted caller does not wait for it any more
            future.cancel()
            raise

    def close(self) -> None:
        """End what is under way and the thread; may be called again."""
        self._end()


def _serve(started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
    async def until_ended() -> None:
        ended = asyncio.Event()
        started.set_result((asyncio.get_running_loop(), ended))
        await ended.wait()

    asyncio.run(until_ended())


def _stop(loop: asyncio.AbstractEventLoop, ended: asyncio.Event, thread: threading.Thread, process: int) -> None:
    if os.getpid() == process and thread.is_alive():
        loop.call_soon_threadsafe(ended.set)
        if threading.current_thread() is not thread:
            thread.join()
