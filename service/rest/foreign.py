"""Refuses administration without keys to requests that a web page of somebody else may have made.

A browser on this machine reaches the loopback too. A page can make it send requests across origins (Origin tells), or
have its own name point to this machine (DNS rebinding; Host tells, since an address in figures cannot be rebound).
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from service.errors import ForeignRequest

HINT = "without API keys use this machine's address or localhost, outside a web page of another origin; or make keys"


def refuse_foreign(request: HTTPConnection, own_host: str) -> None:
    """Raises ForeignRequest where Host is another name, or where Origin is another origin than Host.

    `own_host` is the host that the service listens on.
    """
    host = request.headers.get("host", "")
    if not is_own(host, own_host):
        raise ForeignRequest(f"the Host {host[:64]!r} is not taken here: {HINT}")
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
        raise ForeignRequest(f"the Origin {origin[:64]!r} is not taken here: {HINT}")


def is_own(host: str, own_host: str) -> bool:
    """Whether a Host header (`name:port`) is an address in figures, localhost, or the name that is listened on."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name in ("localhost", own_host.lower()):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
