"""Times how long a connection's client may leave what was written to it unread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class SendClock:
    """A timer that runs while written bytes wait for the client; `late` is called once it is over."""

    def __init__(self, loop: asyncio.AbstractEventLoop, late: Callable[[], None]) -> None:
        self._loop = loop
        self._late = late
        self._timer: asyncio.TimerHandle | None = None

    def start(self, seconds: float) -> None:
        """Begin where it does not run already."""
        if self._timer is None:
            self._timer = self._loop.call_later(seconds, self._end)

    def hurry(self, seconds: float) -> None:
        """Where it runs, leave it `seconds` at most."""
        if self._timer is not None and self._timer.when() > self._loop.time() + seconds:
            self.stop()
            self.start(seconds)

    def stop(self) -> None:
        """The client has read, or is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        self._timer = None
        self._late()
