"""In: the head of a request, before it has become one for the application. Out: its refusal where the house is full.

A rush is mostly refusals, and each costs the network its time. So the usual one is made here, by the connection itself:
no task, no middleware, no routing. It is the same refusal (`service.rest.admission_check`) with the same answer,
metrics and log
line; whatever is out of the ordinary goes the long way, where the middleware asks the same door.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.errors import Overloaded
from service.rest.admission_check import first_values, refusal, text
from service.rest.problems import MEDIA_TYPE, HttpCode, headers_of, problem_bytes
from service.rest.request_checks import RequestChecks
from service.rest.request_record import SCOPE_KEY, RequestRecord, accepted_request_id, finish

PATHS = {b"/score": "/score", b"/localize": "/localize"}
# What of a refused body is read off: closing on it would reset the connection, and the client would not see the answer.
LINGER_BYTES = 4 << 20
LINGER_S = 2.0


class FastReject:
    """A refused request whose body is still arriving."""

    def __init__(self, record: RequestRecord, error: Overloaded, checks: RequestChecks) -> None:
        self.record = record
        self._error = error
        self._checks = checks
        record.code, record.status = error.code, error.status

    def answer(self, default_headers: Iterable[tuple[bytes, bytes]], *, close: bool) -> bytes:
        """The whole answer, with which the request is counted and logged."""
        error, record = self._error, self.record
        body = problem_bytes(HttpCode(error.status, error.code, error.title), error.detail, record)
        record.bytes_out = len(body)
        headers = {
            "content-type": MEDIA_TYPE,
            "content-length": str(len(body)),
            **headers_of(error),
            "x-request-id": record.request_id,
            "x-content-type-options": "nosniff",
        }
        if close:
            headers["connection"] = "close"
        lines = [b"%s: %s\r\n" % row for row in default_headers]
        lines += [f"{name.lower()}: {value}\r\n".encode() for name, value in headers.items()]
        self.note()
        return b"".join((STATUS_LINE[error.status], *lines, b"\r\n", body))

    def note(self) -> None:
        """Count and log it: it is answered, or nobody waits any more."""
        finish(self.record, self._checks.metrics)


def fast_reject(scope: Any, url: bytes, method: bytes, checks: RequestChecks) -> FastReject | None:
    """The refusal of this request, if it is an ordinary one; None where the application must look.

    `scope` is the connection's for this request, with its headers. Where the door was asked and let it pass, the
    request's record lies in `scope` and nobody asks the door again.
    """
    path, _, query = url.partition(b"?")
    if path not in PATHS or method != b"POST" or checks.shutdown.is_set:
        return None
    headers = first_values(scope["headers"])
    length = headers.get(b"content-length", b"")
    if not length.isdigit() or int(length) > LINGER_BYTES or b"transfer-encoding" in headers or b"expect" in headers:
        return None
    scope["path"], scope["method"], scope["query_string"] = PATHS[path], "POST", query
    record = RequestRecord(accepted_request_id(text(headers, b"x-request-id")), "POST", PATHS[path])
    try:
        error = refusal(scope, headers, record, checks)
    except Exception:  # the long way has an answer for faults
        logging.getLogger("mkdserve").exception("fault at the door, request %s", record.request_id)
        return None
    if error is None:
        scope[SCOPE_KEY] = record
        return None
    return FastReject(record, error, checks)
