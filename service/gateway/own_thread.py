"""A thread of its own for a library that blocks: a call that never returns costs that thread alone."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class OwnThread:
    """A daemon thread that runs calls one after another; a call that never returns costs this thread alone."""

    def __init__(self) -> None:
        self._calls: list[tuple[Callable[[], Any], asyncio.Future[Any] | None]] = []
        self._ready = threading.Condition()
        self._ended = False
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._work, name="mkd-line-plc", daemon=True).start()

    async def run(self, call: Callable[[], T]) -> T:
        """The call's value; what it raises is raised here."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._put(call, future)
        return await future

    def end(self, last: Callable[[], Any]) -> None:
        """Runs `last` when all before is done, if ever, and ends the thread."""
        self._put(last, None)

    def _put(self, call: Callable[[], Any], future: asyncio.Future[Any] | None) -> None:
        with self._ready:
            self._calls.append((call, future))
            self._ready.notify()

    def _work(self) -> None:
        while True:
            with self._ready:
                while not self._calls:
                    self._ready.wait()
                call, future = self._calls.pop(0)
            if future is None:
                with contextlib.suppress(Exception):
                    call()
                return
            if future.cancelled():
                continue
            try:
                value, error = call(), None
            except Exception as raised:
                value, error = None, raised
            with contextlib.suppress(RuntimeError):  # the loop may be closed by now
                self._loop.call_soon_threadsafe(_settle, future, value, error)


def _settle(future: asyncio.Future[Any], value: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(value)
