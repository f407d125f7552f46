"""What the settings say to the HTTP surface; the surface itself reads no settings."""

from __future__ import annotations

from dataclasses import dataclass

from service.rest.bodies.reader import BodyLimits


@dataclass(frozen=True, kw_only=True)
class RestOptions:
    """`deadline_ms` is the deadline of a request that brings none, 0 for no deadline."""

    body_limits: BodyLimits
    deadline_ms: float
    keys_needed: bool
    openapi: bool
    processes: int
    drift: bool
    drift_alarm_parts: float
