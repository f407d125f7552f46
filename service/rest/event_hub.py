"""Tells all pages that listen to /events what is new in the feedback store: one reader of the store for all of them.

It reads only while somebody listens. A page that does not keep up is let go; it comes back with the id of the verdict
that it saw last, and is told what it has missed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from weakref import WeakSet

from service.errors import FeedbackUnavailable, Overloaded, ShuttingDown
from service.feedback.access import FeedbackAccess
from service.feedback.rows import Position, VerdictFilter
from service.metrics import Metrics
from service.rest.event_page import EventPage
from service.rest.event_text import STATE, ChangeTexts, event_text, json_of
from service.shutdown_flag import ShutdownFlag

POLL_S = 0.2
STATE_S = 1.0  # between looks whether the state has changed
STATE_AGAIN_S = 15.0  # it is told so often at least, so that nobody on the way takes the connection for dead
MOST_PAGES = 200
MOST_AT_ONCE = 500  # verdicts of one look, and of what a page has missed
State = Callable[[str | None], dict[str, object]]  # given why the store cannot be used, the data of a state event


class EventHub:
    """See the module. For the event loop's thread; `run` has to run beside it."""

    def __init__(self, access: FeedbackAccess, state: State, shutdown: ShutdownFlag, metrics: Metrics) -> None:
        self._access = access
        self._state = state
        self._shutdown = shutdown
        self._metrics = metrics
        # Weak, as a stream whose client left before its first byte is dropped without a word.
        self._pages: WeakSet[EventPage] = WeakSet()
        self._position: Position | None = None  # what all pages have been told, None while nobody listens
        self._trouble: str | None = None
        self._told, self._told_at, self._looked_at = b"", 0.0, 0.0

    async def listen(
        self, wanted: VerdictFilter, last_seen: int | None, may_listen: Callable[[], bool] = lambda: True
    ) -> AsyncIterator[bytes]:
        """One page's stream, from now on or from the verdict that it saw last, until `may_listen` says no.

        Raises ShuttingDown, and Overloaded where too many pages listen. Where the store cannot be read the stream has
        the state alone, and ends when it can.
        """
        if self._shutdown.is_set:
            raise ShuttingDown("the service is shutting down", retry_after=1.0)
        if len(self._pages) >= MOST_PAGES:
            raise Overloaded(f"{MOST_PAGES} pages listen to this process already", retry_after=10.0)
        page, missed = EventPage(wanted, may_listen), b""
        self._pages.add(page)
        self._metrics.gauge("mkd_event_streams").set(len(self._pages))
        try:
            missed = await self._joined(page, wanted, last_seen)
        except FeedbackUnavailable as error:
            page.comes_back, self._trouble = True, error.detail
        except BaseException:
            self._leave(page)
            raise
        return self._stream(page, missed)

    async def run(self) -> None:
        """Read the store while pages listen; ends at the shutdown, with all pages."""
        try:
            while not self._shutdown.is_set:
                await asyncio.sleep(POLL_S)
                if not self._pages:
                    self._position = None
                    continue
                try:
                    self._tell_state()
                    await self._look()
                except Exception:  # a fault of ours must not leave pages without news for good
                    logging.getLogger("mkdserve").exception("events: unexpected fault")
        finally:
            for page in self._pages:
                page.close()

    async def _joined(self, page: EventPage, wanted: VerdictFilter, last_seen: int | None) -> bytes:
        """What the page has missed up to the position from which on it is told what all are told."""
        position = await self._begun()
        page.is_told = True
        if last_seen is None:
            return b""
        changes = await self._access.missed(wanted, last_seen, position, MOST_AT_ONCE)
        return ChangeTexts(changes).of(lambda _: True)

    async def _stream(self, page: EventPage, missed: bytes) -> AsyncIterator[bytes]:
        try:
            yield event_text(STATE, self._state_now()) + missed
            async for chunk in page.chunks():
                yield chunk
        finally:
            self._leave(page)

    async def _begun(self) -> Position:
        """What all pages have been told; the end of the store where nobody has been told anything."""
        if self._position is None:
            found = await self._access.now()
            if self._position is None:  # who asked at the same time may have begun earlier: its page misses nothing
                self._position = found
        return self._position

    async def _look(self) -> None:
        try:
            position = await self._begun()
            changes = await self._access.since(position, MOST_AT_ONCE)
        except FeedbackUnavailable as error:
            self._trouble = error.detail
            return
        self._trouble = None
        if self._position != position:  # all pages have left meanwhile
            return
        self._position = changes.position
        texts = ChangeTexts(changes)
        for page in self._pages:
            if page.comes_back:
                page.close()
            elif page.is_told:
                page.put(texts.of(page.wants))

    def _tell_state(self) -> None:
        """To every page where it has changed, and now and then where it has not; ends those that may listen no more."""
        now = asyncio.get_running_loop().time()
        if now - self._looked_at < STATE_S:
            return
        self._looked_at = now
        for page in self._pages:
            if not page.may_listen():
                page.close()
        text = event_text(STATE, self._state_now())
        if text != self._told or now - self._told_at >= STATE_AGAIN_S:
            self._told, self._told_at = text, now
            for page in self._pages:
                page.put(text)

    def _state_now(self) -> bytes:
        return json_of(self._state(self._access.store.trouble or self._trouble))

    def _leave(self, page: EventPage) -> None:
        self._pages.discard(page)
        if not self._pages:
            self._position = None  # the next page begins at what is stored then
        self._metrics.gauge("mkd_event_streams").set(len(self._pages))
