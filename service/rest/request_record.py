"""In: what is learnt about a request while it runs. Out: one `RequestRecord`, from which its log line is written."""

from __future__ import annotations

import logging
import random
import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.logs import event
from service.metrics import Metrics

QUIET_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})  # asked every few seconds by machines
SCOPE_KEY = "mkdserve.record"
REQUEST_ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


IDS = random.Random()  # noqa: S311  # seeded by the system; an id is no secret, and asking the system each time costs more


@dataclass
class RequestRecord:
    """One request's story. No image content and no key ever gets in here."""

    request_id: str
    method: str
    path: str
    started: float = field(default_factory=time.monotonic)
    route: str = "unknown"  # the path's template: the one form that is safe as a metric label
    status: int = 0
    code: str | None = None  # of the problem, where there was one
    caller: str | None = None  # the name of the API key
    product: str | None = None
    version: str | None = None
    images: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    decisions: Counter[str] = field(default_factory=Counter)
    entry_errors: Counter[str] = field(default_factory=Counter)
    timing: dict[str, float] = field(default_factory=dict)  # milliseconds by stage, the slowest image of the request
    context: dict[str, str] = field(default_factory=dict)  # line, station, part_id

    def slowest(self, stage: str, milliseconds: float) -> None:
        """Keep the largest time seen for `stage`."""
        self.timing[stage] = max(self.timing.get(stage, 0.0), round(milliseconds, 2))

    def line(self) -> dict[str, object]:
        """The log line's members; empty ones are left out."""
        members: dict[str, object] = {
            "request_id": self.request_id,
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "code": self.code,
            "caller": self.caller,
            "product": self.product,
            "version": self.version,
            "images": self.images,
            "decisions": dict(self.decisions),
            "entry_errors": dict(self.entry_errors),
            "timing_ms": self.timing,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "context": self.context,
            "duration_ms": round((time.monotonic() - self.started) * 1000, 2),
        }
        return {name: value for name, value in members.items() if value not in (None, {}, "")}


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


def record_of(scope: Mapping[str, Any]) -> RequestRecord:
    """The record that the middleware put into this ASGI scope."""
    record = scope[SCOPE_KEY]
    assert isinstance(record, RequestRecord)
    return record
