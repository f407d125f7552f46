"""One listener to /events: what it wants, and what waits to be sent to it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from service.feedback.rows import VerdictFilter, VerdictRow

MOST_WAITING_BYTES = 4 << 20


class EventPage:
    """For the event loop's thread.

    `is_told` is set once it is told what all pages are told, `comes_back` where it has to connect anew when the store
    can be read. `may_listen` says whether its key or session still allows it.
    """

    def __init__(self, wanted: VerdictFilter, may_listen: Callable[[], bool] = lambda: True) -> None:
        self.is_told = self.comes_back = False
        self.is_closed = False
        self.may_listen = may_listen
        self._wanted = wanted
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._news = asyncio.Event()

    def wants(self, row: VerdictRow) -> bool:
        """Whether a verdict is of its product and station."""
        wanted = self._wanted
        return wanted.product in (None, row.product) and wanted.station in (None, row.station)

    def put(self, data: bytes) -> None:
        """Have it sent. Where more waits than a page that reads would leave, the page is closed."""
        if not data or self.is_closed:
            return
        self._waiting.append(data)
        self._bytes += len(data)
        if self._bytes > MOST_WAITING_BYTES:
            self._waiting.clear()
            self.close()
        self._news.set()

    def close(self) -> None:
        """Send what waits, and nothing after it."""
        self.is_closed = True
        self._news.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        """What is to be sent, until the page is closed."""
        while True:
            while self._waiting:
                data = b"".join(self._waiting)
                self._waiting.clear()
                yield data  # until here has been written, the bytes count as waiting
                self._bytes -= len(data)
            if self.is_closed:
                return
            self._news.clear()
            await self._news.wait()
