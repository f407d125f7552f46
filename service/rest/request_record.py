"""What HTTP knows of one request while it runs; its one log line is written from it."""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.inspection.context import NO_LINE, InspectionContext, LineContext
from service.logs import event
from service.metrics import Metrics

QUIET_PATHS = frozenset(  # asked every few seconds by machines
    {
        *("/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"),
        *("/inference.GRPCInferenceService/ServerLive", "/inference.GRPCInferenceService/ServerReady"),
    }
)
SCOPE_KEY = "mkdserve.record"
SURFACE = "rest"
REQUEST_ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


IDS = random.Random()  # noqa: S311  # seeded by the system; an id is no secret, and asking the system each time costs more


@dataclass
class RequestRecord:
    """One request and its answer. `inspection` is the core's part of it, where images were to be judged.

    No image content and no key ever gets in here.
    """

    request_id: str
    method: str
    path: str
    started: float = field(default_factory=time.monotonic)
    route: str = "unknown"  # the path's template: the one form that is safe as a metric label
    status: int = 0
    code: str | None = None  # of the problem, where there was one
    caller: str | None = None  # the name of the API key
    is_admin: bool = False  # whether the caller may administer; without keys everybody may
    bytes_in: int = 0
    bytes_out: int = 0
    context: LineContext = NO_LINE
    inspection: InspectionContext | None = None

    def line(self) -> dict[str, object]:
        """The log line's members; empty ones are left out."""
        members: dict[str, object] = {
            "request_id": self.request_id,
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "code": self.code,
            "caller": self.caller,
            **(NOT_JUDGED if self.inspection is None else _judged(self.inspection)),
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "context": self.context.members(),
            "duration_ms": round((time.monotonic() - self.started) * 1000, 2),
        }
        return {name: value for name, value in members.items() if value or value == 0}


NOT_JUDGED: Mapping[str, object] = {"images": 0}


def _judged(context: InspectionContext) -> dict[str, object]:
    return {
        "product": context.product,
        "version": context.version,
        "images": context.images,
        "decisions": dict(context.decisions),
        "entry_errors": dict(context.failures),
        "timing_ms": {stage: round(seconds * 1000, 2) for stage, seconds in context.slowest_s.items()},
    }


def accepted_request_id(offered: str | None) -> str:
    """The caller's id where it has the allowed form, else a fresh one: a bad id is no reason to refuse a verdict."""
    if offered is not None and REQUEST_ID_PATTERN.fullmatch(offered):
        return offered
    return f"{IDS.getrandbits(128):032x}"


def finish(record: RequestRecord, metrics: Metrics) -> None:
    """Count the request and write its one log line: probes at level debug while they succeed.

    The route is its template, so that nothing a caller chooses becomes a label.
    """
    metrics.counter("mkd_requests_total", route=record.route, outcome=record.code or "ok").inc()
    metrics.histogram("mkd_request_seconds", route=record.route).observe(time.monotonic() - record.started)
    quiet = record.path in QUIET_PATHS and record.status < 400
    level = logging.DEBUG if quiet else logging.WARNING if record.status >= 500 else logging.INFO
    event("request", level, **record.line())


def log_admin(record: RequestRecord, action: str, product: str, version: str | None = None) -> None:
    """Log what an administrator has asked for, with whose key and under which request id."""
    event("admin", action=action, product=product, version=version, caller=record.caller, request_id=record.request_id)


def record_of(scope: Mapping[str, Any]) -> RequestRecord:
    """The record that the middleware put into this ASGI scope."""
    record = scope[SCOPE_KEY]
    assert isinstance(record, RequestRecord)
    return record
