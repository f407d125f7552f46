"""Signatures of webhooks: HMAC-SHA-256 over the time of sending, a dot and the body."""

from __future__ import annotations

import hashlib
import hmac


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """The header's value: `v1=` and the code in hexadecimal. `timestamp` is in whole seconds since 1970."""
    return "v1=" + hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
