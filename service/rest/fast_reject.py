"""Writes the usual refusal straight onto its connection: no task, no middleware, no routing.

In: a request that the admission check has refused. Out: the same answer, metrics and log line that the application
would make. Whatever is out of the ordinary (a long body, one without a length, one that waits for permission) is left
to the middleware, which finds the same decision in the scope.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.errors import Overloaded, ShuttingDown
from service.inspection.deadlines import seconds_to
from service.rest.admission_check import AdmissionDecision, decide
from service.rest.problems import MEDIA_TYPE, HttpCode, headers_of, problem_bytes
from service.rest.request_checks import RequestChecks
from service.rest.request_record import finish

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

    def retry_after_s(self) -> float:
        """What the client is told to wait, in seconds."""
        return float(headers_of(self._error)["Retry-After"])

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


def _is_short(decision: AdmissionDecision) -> bool:
    headers = decision.headers
    length = headers.get(b"content-length", b"0")
    short = length.isdigit() and int(length) <= LINGER_BYTES
    return short and b"transfer-encoding" not in headers and b"expect" not in headers
