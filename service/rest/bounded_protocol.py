"""Parses what comes on a connection for uvicorn, within bounds, and refuses by problem+json what is no HTTP.

uvicorn reads headers of any length for any time, refuses broken ones in plain text, and waits without end for a client
that does not read; this subclass bounds all three. It parses by httptools, whose C costs a tenth of h11's Python: on a
CPU that is the network's time. What httptools does not do is done here: it counts what it is fed, and keeps a body that
came with an offer to upgrade.

`UVICORN_PARTS` lists what is taken from uvicorn beyond its public interface. pyproject.toml bounds its version for
that reason, and a test compares both.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, ClassVar, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.errors import RequestCancelled
from service.logs import event
from service.rest.joined_head import JoinedHead
from service.rest.problems import HTTP_CODES, HttpCode
from service.rest.request_record import record_of
from service.rest.send_clock import SendClock
from service.rest.unparsed import refuse_unparsed

if TYPE_CHECKING:
    from service.rest.request_checks import RequestChecks

# What this class and `InspectionProtocol` read, set or override of HttpToolsProtocol, and of the cycle of one request.
UVICORN_PARTS = (
    *("client", "cycle", "expect_100_continue", "headers", "loop", "parser", "pipeline", "scope", "server_state"),
    *("transport", "url", "pause_writing", "resume_writing", "shutdown", "timeout_keep_alive_handler"),
    *("on_message_begin", "on_url", "on_header", "on_headers_complete", "on_body", "on_message_complete"),
    *("on_response_complete", "_unset_keepalive_if_required"),
)
UVICORN_CYCLE_PARTS = ("keep_alive", "response_complete", "scope")
REQUEST_TIMEOUT = HttpCode(408, "headers_too_slow", "The headers arrived too slowly")
BETWEEN, HEAD, BODY = range(3)  # what comes next on the wire


class HeadTooLargeError(Exception):
    """Raised inside the parser, which stops then."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's with bounded headers, problems instead of plain text, and an end for clients that do not read."""

    checks: ClassVar[RequestChecks]
    header_timeout_s: ClassVar[float] = 10.0
    max_header_bytes: ClassVar[int] = 65536
    send_timeout_s: ClassVar[float] = 10.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._header_clock: asyncio.TimerHandle | None = None
        self._send_clock = SendClock(self.loop, self._answer_not_read)
        self._stage = BETWEEN
        self._head_bytes = 0  # of request line, headers and trailers so far
        self._unfinished = 0  # bytes that came for a head, or for nothing: the beginning of a header, blank lines
        self._heard = False
        self._completed = False
        self._hosts = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport = cast(asyncio.Transport, JoinedHead(transport, self.loop))
        self._header_clock = self.loop.call_later(self.header_timeout_s, self._headers_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        self._send_clock.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        before, self._heard, self._completed = self._stage, False, False
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, HeadTooLargeError):
                self._head_too_large()
            else:
                self._refuse(HTTP_CODES[400], "this is not HTTP/1.1", str(error.__context__ or error))
            return
        if self._heard and (self._stage != HEAD or before == BODY or self._completed):
            self._unfinished = 0
        else:
            self._unfinished += len(data)
        if self._unfinished > self.max_header_bytes:
            self._head_too_large()
        elif self._header_clock is None and (self._stage == HEAD or (self._stage == BETWEEN and not self._heard)):
            self._header_clock = self.loop.call_later(self.header_timeout_s, self._headers_late)

    def _feed(self, data: bytes) -> None:
        """The parser takes no body after `Upgrade`, which Java's client sends with every first request (h2c). Nothing
        is upgraded here, so such a head is parsed once more without the offer."""
        try:
            self.parser.feed_data(data)
            return
        except httptools.HttpParserUpgrade as found:
            method, version, rest = self.parser.get_method(), self.parser.get_http_version(), data[found.args[0] :]
        lines = [b"%s %s HTTP/%s\r\n" % (method, self.url, version.encode())]
        lines += [b"%s: %s\r\n" % row for row in self.headers if row[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        try:
            self.parser.feed_data(b"".join((*lines, b"\r\n", rest)))
        except httptools.HttpParserUpgrade:
            raise httptools.HttpParserError("a proxy's CONNECT, or a second offer at once") from None

    # Called by the parser.

    def on_message_begin(self) -> None:
        self._heard, self._stage, self._head_bytes, self._hosts = True, HEAD, 0, 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)
        if self._stage == HEAD:  # what follows the body are trailers, which nobody asked for
            super().on_header(name, value)
            self._hosts += self.headers[-1][0] == b"host"

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        version = self.parser.get_http_version()
        if self._hosts != 1 and version == "1.1":
            raise httptools.HttpParserError("HTTP/1.1 asks for one Host")  # RFC 9112, 3.2
        if version == "1.0":
            self.expect_100_continue = False  # RFC 9110, 10.1.1
        self._heard, self._stage = True, BODY
        self._stop_clock()
        self.begin_request()

    def on_body(self, body: bytes) -> None:
        self._heard = True
        self.take_body(body)

    def on_message_complete(self) -> None:
        self._heard = self._completed = True
        if self._stage == BODY:  # else an offer to upgrade, which `_feed` takes out
            self._stage, self._head_bytes = BETWEEN, 0
            self.end_request()

    # What a subclass may do otherwise.

    def begin_request(self) -> None:
        """The head is complete: make it a request for the application."""
        super().on_headers_complete()

    def take_body(self, body: bytes) -> None:
        """A piece of the body is here."""
        super().on_body(body)

    def end_request(self) -> None:
        """The body is complete."""
        super().on_message_complete()

    def is_busy(self) -> bool:
        """Whether a request waits for its answer."""
        return self.is_answering() or bool(self.pipeline)

    def is_answering(self) -> bool:
        """Whether the application has a request to answer."""
        return self.cycle is not None and not self.cycle.response_complete

    def _count(self, size: int) -> None:
        self._heard = True
        self._head_bytes += size
        if self._head_bytes > self.max_header_bytes:
            raise HeadTooLargeError

    def pause_writing(self) -> None:
        super().pause_writing()
        self._send_clock.start(self.send_timeout_s)

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():  # else what is left has to leave in time as well
            self._send_clock.stop()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._send_clock.start(self.send_timeout_s)

    def timeout_keep_alive_handler(self) -> None:
        self.close()

    def close(self) -> None:
        """End the connection once what has been written has left, or without that when the time is over."""
        if not self.transport.is_closing():
            self.transport.close()
            self._send_clock.start(self.send_timeout_s)

    def _answer_not_read(self) -> None:
        self.checks.metrics.counter("mkd_answers_dropped_total").inc()
        event("answer dropped, the client does not read", logging.WARNING, peer=self.peer, after_s=self.send_timeout_s)
        if self.is_answering():
            record_of(self.cycle.scope).code = RequestCancelled.code
        self.transport.abort()

    @property
    def peer(self) -> str:
        """Address and port of the client."""
        return "{}:{}".format(*self.client) if self.client else ""

    def _head_too_large(self) -> None:
        self._refuse(HTTP_CODES[431], "the request line and headers are too large")

    def _headers_late(self) -> None:
        self._header_clock = None
        self._refuse(REQUEST_TIMEOUT, f"the headers were not complete within {self.header_timeout_s:g} s")

    def _stop_clock(self) -> None:
        if self._header_clock is not None:
            self._header_clock.cancel()
            self._header_clock = None

    def _refuse(self, code: HttpCode, detail: str, reason: str = "") -> None:
        if self.transport.is_closing():
            return
        answer = refuse_unparsed(self.checks.metrics, self.peer, code, detail, reason or detail)
        if not self.is_busy():  # else an answer is on its way already; the broken rest of the request ends it
            self.transport.write(answer)
        self.close()
