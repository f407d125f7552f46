"""What the settings say to the HTTP surface; the surface itself reads no settings."""

from __future__ import annotations

from dataclasses import dataclass

from service.rest.bodies.reader import BodyLimits


@dataclass(frozen=True, kw_only=True)
class RestOptions:
    """`host` is what the server listens on; `deadline_ms` is the deadline of a request that brings none, 0 for none."""

    host: str
    body_limits: BodyLimits
    max_stream_images: int
    header_timeout_s: float
    max_header_bytes: int
    send_timeout_s: float
    deadline_ms: float
    keys_needed: bool
    openapi: bool
    root_path: str
    processes: int
    drift: bool
    drift_alarm_parts: float
