"""Writes the usual refusal straight onto its connection: no task, no middleware, no routing.

In: a request that the admission check has refused. Out: the same answer, metrics and log line that the application
would make. Whatever is out of the ordinary (a long body, one without a length, one that waits for permission) is left
to the middleware, which finds the same decision in the scope.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import cache
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.errors import Overloaded, ShuttingDown
from service.inspection.deadlines import seconds_to
from service.rest.admission_check import AdmissionDecision, decide
from service.rest.problems import ENCODER, MEDIA_TYPE, HttpCode, body_for, retry_after_of
from service.rest.request_checks import RequestChecks
from service.rest.request_record import finish

HEAD = (
    f"content-type: {MEDIA_TYPE}\r\ncontent-length: %d\r\nretry-after: %d\r\n"
    "x-request-id: %s\r\nx-content-type-options: nosniff\r\n"
).encode()
GAP = "..."
quoted = ENCODER.encode
CLOSE = b"connection: close\r\n"
PATHS = {b"/score": "/score", b"/localize": "/localize", b"/score/stream": "/score/stream"}
# What of a refused body is read off: closing on it would reset the connection, and the client would not see the answer.
LINGER_BYTES = 4 << 20
LINGER_S = 2.0


class FastReject:
    """A refused request whose body is still arriving, or whose answer is held back."""

    def __init__(self, decision: AdmissionDecision, error: Overloaded | ShuttingDown, checks: RequestChecks) -> None:
        self.record = decision.record
        self._decision = decision
        self._error = error
        self._checks = checks
        self.record.code, self.record.status = error.code, error.status

    def hold_s(self, in_a_row: int) -> float:
        """For how long to hold the answer, by the pace of refusals and never past the request's own deadline."""
        hold_s = self._checks.refusal_pace.hold_s(self._decision.caller, in_a_row)
        left_s = seconds_to(self._decision.deadline)
        return hold_s if left_s is None else max(0.0, min(hold_s, left_s))

    def retry_after_s(self) -> int:
        """What the client is told to wait, in seconds."""
        return retry_after_of(self._error)

    def answer(self, default_headers: Iterable[tuple[bytes, bytes]], *, close: bool) -> bytes:
        """The whole answer, with which the request is counted and logged."""
        error, record = self._error, self.record
        begin, middle = _parts(HttpCode(error.status, error.code, error.title), record.path)
        body = f"{begin}{quoted(error.detail)}{middle}{quoted(record.request_id)}}}".encode()
        record.bytes_out = len(body)
        self.note()
        identity, end = record.request_id.encode(), CLOSE if close else b""
        rows = b"".join([b"%s: %s\r\n" % row for row in default_headers])
        line = STATUS_LINE[error.status]
        return b"".join((line, rows, HEAD % (len(body), self.retry_after_s(), identity), end, b"\r\n", body))

    def note(self) -> None:
        """Count and log it: it is answered, or nobody waits any more."""
        finish(self.record, self._checks.metrics)


def fast_reject(scope: Any, url: bytes, method: bytes, checks: RequestChecks) -> FastReject | None:
    """Decide on this request where it is one for a verdict; its refusal where the connection can write it itself.

    `scope` is the connection's for this request, with its headers. Afterwards the decision lies in it.
    """
    path, _, query = url.partition(b"?")
    if path not in PATHS or method != b"POST":
        return None
    scope["path"], scope["method"], scope["query_string"] = PATHS[path], "POST", query
    try:
        decision = decide(scope, checks)
    except Exception:  # the middleware has an answer for faults
        logging.getLogger("mkdserve").exception("fault in the admission check")
        return None
    if decision.refusal is None or checks.shutdown.is_set or not _is_short(decision):
        return None
    return FastReject(decision, decision.refusal, checks)


@cache
def _parts(code: HttpCode, path: str) -> tuple[str, str]:
    """What of a problem's JSON is the same each time: all before the detail, and all between it and the request id."""
    text = ENCODER.encode(body_for(path, code, GAP, GAP))
    begin, middle, end = text.split(quoted(GAP))
    assert end == "}"
    return begin, middle


def _is_short(decision: AdmissionDecision) -> bool:
    headers = decision.headers
    length = headers.get(b"content-length", b"0")
    short = length.isdigit() and int(length) <= LINGER_BYTES
    return short and b"transfer-encoding" not in headers and b"expect" not in headers
