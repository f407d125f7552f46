"""In: bytes of a connection. Out: HTTP requests for uvicorn, or a problem+json refusal where the bytes are no HTTP.

uvicorn reads headers of any length for any time and refuses broken ones in plain text; this subclass limits both and
speaks problem+json. It parses by httptools, whose C costs a tenth of h11's Python: on a CPU that is the network's time.
What httptools does not do is done here: it counts what it is fed, and keeps a body that came with an offer to upgrade.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import TYPE_CHECKING, Any, ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service.rest.fast_reject import LINGER_S, FastReject, fast_reject
from service.rest.problems import HTTP_CODES, MEDIA_TYPE, HttpCode, problem_body

if TYPE_CHECKING:
    from service.rest.request_checks import RequestChecks

LAST_REQUEST_S = 0.3  # in which a request that is on the wire when the server stops may still arrive
REQUEST_TIMEOUT = HttpCode(408, "headers_too_slow", "The headers arrived too slowly")
BETWEEN, HEAD, BODY = range(3)  # what comes next on the wire


class HeadTooLargeError(Exception):
    """Raised inside the parser, which stops then."""


class InspectionProtocol(HttpToolsProtocol):
    """uvicorn's with bounded headers, problems instead of plain text, a quick refusal, and patience for a last
    request."""

    header_timeout_s: ClassVar[float] = 10.0
    max_header_bytes: ClassVar[int] = 65536
    checks: ClassVar[RequestChecks | None] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._header_clock: asyncio.TimerHandle | None = None
        self._last_request = False
        self._stage = BETWEEN
        self._head_bytes = 0  # of request line, headers and trailers so far
        self._unfinished = 0  # bytes that came for a head, or for nothing: the beginning of a header, blank lines
        self._heard = False
        self._completed = False
        self._hosts = 0
        self._turned_away: FastReject | None = None
        self._linger: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._header_clock = self.loop.call_later(self.header_timeout_s, self._headers_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        if self._turned_away is not None:
            self._end_turned_away().note()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        before, self._heard, self._completed = self._stage, False, False
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            large = isinstance(error.__context__, HeadTooLargeError)
            self._refuse_head(too_large=large)
            return
        if self._heard and (self._stage != HEAD or before == BODY or self._completed):
            self._unfinished = 0
        else:
            self._unfinished += len(data)
        if self._unfinished > self.max_header_bytes:
            self._refuse_head(too_large=True)
        elif self._header_clock is None and (self._stage == HEAD or (self._stage == BETWEEN and not self._heard)):
            self._header_clock = self.loop.call_later(self.header_timeout_s, self._headers_late)
        if self._turned_away is not None and self._linger is None:
            self._linger = self.loop.call_later(LINGER_S, self._answer_turned_away, True)
        if self._last_request and self._is_answering():
            self.cycle.keep_alive = False

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
        if self._hosts != 1 and self.parser.get_http_version() == "1.1":
            raise httptools.HttpParserError("HTTP/1.1 asks for one Host")  # RFC 9112, 3.2
        self._heard, self._stage = True, BODY
        self._stop_clock()
        if self.checks is not None and not self._is_busy():
            self._turned_away = fast_reject(self.scope, self.url, self.parser.get_method(), self.checks)
        if self._turned_away is None:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._heard = True
        if self._turned_away is not None:
            self._turned_away.record.bytes_in += len(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._heard = self._completed = True
        if self._stage != BODY:  # an offer to upgrade, which `_feed` takes out
            return
        self._stage, self._head_bytes = BETWEEN, 0
        if self._turned_away is not None:
            self._answer_turned_away(not self.parser.should_keep_alive() or self._last_request)
        else:
            super().on_message_complete()

    def _count(self, size: int) -> None:
        self._heard = True
        self._head_bytes += size
        if self._head_bytes > self.max_header_bytes:
            raise HeadTooLargeError

    def _answer_turned_away(self, close: bool) -> None:
        done = self._end_turned_away()
        self.transport.write(done.answer(self.server_state.default_headers, close=close))
        if close:
            self.transport.close()
        self.on_response_complete()

    def _end_turned_away(self) -> FastReject:
        assert self._turned_away is not None
        done, self._turned_away = self._turned_away, None
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        return done

    def shutdown(self) -> None:
        """Called when the server stops. uvicorn closes idle connections at once and so resets a client that has
        just sent its request on one; here each gets a moment for that, and is closed after its answer."""
        if self._is_answering():
            super().shutdown()
            return
        self._last_request = True
        self.loop.call_later(LAST_REQUEST_S, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if not self._is_busy() and not self.transport.is_closing():
            super().shutdown()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _is_busy(self) -> bool:
        return self._is_answering() or self._turned_away is not None or bool(self.pipeline)

    def _refuse_head(self, *, too_large: bool) -> None:
        if too_large:
            self._refuse(HTTP_CODES[431], "the request line and headers are too large")
        else:
            self._refuse(HTTP_CODES[400], "this is not HTTP/1.1")

    def _headers_late(self) -> None:
        self._header_clock = None
        self._refuse(REQUEST_TIMEOUT, f"the headers were not complete within {self.header_timeout_s:g} s")

    def _stop_clock(self) -> None:
        if self._header_clock is not None:
            self._header_clock.cancel()
            self._header_clock = None

    def _refuse(self, code: HttpCode, detail: str) -> None:
        if self.transport.is_closing():
            return
        if not self._is_busy():  # else an answer is on its way already; the broken rest of the request ends it
            request_id = secrets.token_hex(16)
            body = json.dumps(problem_body(code, detail, instance="", request_id=request_id)).encode()
            self.transport.write(
                b"%scontent-type: %s\r\ncontent-length: %d\r\nx-request-id: %s\r\nconnection: close\r\n\r\n%s"
                % (STATUS_LINE[code.status], MEDIA_TYPE.encode(), len(body), request_id.encode(), body)
            )
        self.transport.close()


def protocol_class(
    header_timeout_s: float, max_header_bytes: int = 65536, checks: RequestChecks | None = None
) -> type[InspectionProtocol]:
    """The protocol with its settings; uvicorn makes the instances and passes none of ours."""
    settings = {"header_timeout_s": header_timeout_s, "max_header_bytes": max_header_bytes, "checks": checks}
    return type("ConfiguredProtocol", (InspectionProtocol,), settings)
