"""Serves the application below a path that a proxy has put before it, whether the proxy takes the path off or not.

    https://inspection.example/line-7/docs  ->  proxy  ->  /docs with X-Forwarded-Prefix: /line-7, or /line-7/docs

The prefix is `--root-path`, else the header X-Forwarded-Prefix of the request. It changes what the service writes of
itself, the page's links and the document's server, and nothing else.
"""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Receive, Scope, Send

HEADER = b"x-forwarded-prefix"
# It is written into a page, so it is a plain path and nothing else: no scheme, no host (//host), no quote, no "..".
_PREFIX = re.compile(r"(?:/(?!\.+(?:/|$))[A-Za-z0-9._~-]{1,64}){1,8}")


class PrefixMiddleware:
    """`root_path` is the prefix of every request; where it is empty, each request may bring its own."""

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self.app = app
        self._root_path = root_path.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (prefix := self._root_path or forwarded_prefix(scope)):
            path = scope["path"]
            whole = path if path == prefix or path.startswith(f"{prefix}/") else prefix + path
            scope = {**scope, "root_path": prefix, "path": whole}
        await self.app(scope, receive, send)


def is_prefix(text: str) -> bool:
    """Whether this is a plain path, with or without a slash at its end."""
    return _PREFIX.fullmatch(text.rstrip("/")) is not None


def forwarded_prefix(scope: Scope) -> str:
    """What the header of this request names; empty where there is none, or it is no plain path."""
    found = next((value.decode("latin-1") for name, value in scope["headers"] if name == HEADER), "")
    return found.rstrip("/") if is_prefix(found) else ""
