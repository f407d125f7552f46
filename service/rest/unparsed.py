"""Refuses what never became a request: counts it, logs it with peer and reason, and makes its answer."""

from __future__ import annotations

import json
import secrets

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.logs import event
from service.metrics import Metrics
from service.rest.problems import MEDIA_TYPE, HttpCode, problem_body

ROUTE = "unparsed"  # in metrics
REASON_LENGTH = 200  # a reason may hold what was sent


def refuse_unparsed(metrics: Metrics, peer: str, code: HttpCode, detail: str, reason: str) -> bytes:
    """The whole answer, which ends the connection. `reason` is for the log alone."""
    request_id = secrets.token_hex(16)
    metrics.counter("mkd_requests_total", route=ROUTE, outcome=code.code).inc()
    event(
        "request not parsed",
        peer=peer,
        status=code.status,
        code=code.code,
        reason=reason[:REASON_LENGTH],
        request_id=request_id,
    )
    body = json.dumps(problem_body(code, detail, instance="", request_id=request_id)).encode()
    return b"%scontent-type: %s\r\ncontent-length: %d\r\nx-request-id: %s\r\nconnection: close\r\n\r\n%s" % (
        STATUS_LINE[code.status],
        MEDIA_TYPE.encode(),
        len(body),
        request_id.encode(),
        body,
    )
