"""In: bytes of a connection. Out: HTTP requests for uvicorn, or a problem+json refusal where the bytes are no HTTP.

uvicorn reads headers of any length for any time and refuses broken ones in plain text; this subclass limits both and
speaks problem+json. h11 is chosen over httptools because it bounds the headers while they arrive.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.http.problems import HTTP_CODES, MEDIA_TYPE, HttpCode, problem_body

LAST_REQUEST_S = 0.3  # in which a request that is on the wire when the server stops may still arrive
REQUEST_TIMEOUT = HttpCode(408, "headers_too_slow", "The headers arrived too slowly")


class InspectionProtocol(H11Protocol):
    """h11 with a clock on the headers, problems instead of plain text, and patience for a last request."""

    header_timeout_s: ClassVar[float] = 10.0
    _header_clock: asyncio.TimerHandle | None = None
    _last_request = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._header_clock = self.loop.call_later(self.header_timeout_s, self._headers_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._header_clock is None and self.conn.their_state is h11.IDLE:  # the next request of a kept connection
            self._header_clock = self.loop.call_later(self.header_timeout_s, self._headers_late)
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_clock()
        if self._last_request and self._is_answering():
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Called when the server stops. uvicorn closes idle connections at once and so resets a client that has
        just sent its request on one; here each gets a moment for that, and is closed after its answer."""
        if self._is_answering():
            super().shutdown()
            return
        self._last_request = True
        self.loop.call_later(LAST_REQUEST_S, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if not self._is_answering() and not self.transport.is_closing():
            super().shutdown()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn while it handles h11's RemoteProtocolError, whose hint tells too large from malformed."""
        error = sys.exc_info()[1]
        hint = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        code = HTTP_CODES[431] if hint == 431 else HTTP_CODES[400]
        self._refuse(code, "the request line and headers are too large" if hint == 431 else "this is not HTTP/1.1")

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
        request_id = secrets.token_hex(16)
        body = json.dumps(problem_body(code, detail, instance="", request_id=request_id)).encode()
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"x-request-id", request_id.encode()),
            (b"connection", b"close"),
        ]
        try:
            for event in (h11.Response(status_code=code.status, headers=headers), h11.Data(body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:  # an answer is on its way already; the broken rest of the request ends it
            pass
        self.transport.close()


def protocol_class(header_timeout_s: float) -> type[InspectionProtocol]:
    """The protocol with its header clock set; uvicorn makes the instances and passes no settings of ours."""
    return type("ConfiguredProtocol", (InspectionProtocol,), {"header_timeout_s": header_timeout_s})
