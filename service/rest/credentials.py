"""Finds out who asks: by an API key in a header, or by the session cookie of the page; one function for every scope.

A browser sends a cookie with every request to its origin, also with those that another page has made it send. So a
cookie that is to change something needs two more proofs: that the request comes from this origin (Sec-Fetch-Site, else
Origin), and the token that only a page of this origin can have read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Protocol
from urllib.parse import urlsplit

from fastapi.security.utils import get_authorization_scheme_param

from service.auth import ApiKey, KeyRing
from service.errors import CrossSiteRequest, ServiceError, Unauthorized
from service.sessions import Session, Sessions

HeaderValues = Mapping[bytes, bytes]
SESSION_COOKIE = "mkd_session"
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SESSION_OVER = "the session is over or was not opened here: log in again"


class Credentials(Protocol):
    """What callers are checked against; `keys` is None where everybody may do everything."""

    @property
    def keys(self) -> KeyRing | None: ...

    @property
    def sessions(self) -> Sessions: ...


def authenticate(headers: HeaderValues, method: str, known: Credentials, *scopes: str) -> ApiKey:
    """The key that the request was made with; it must cover one of `scopes`.

    Raises Unauthorized, Forbidden, or CrossSiteRequest for a cookie that changes something without its proofs.
    """
    keys = known.keys
    assert keys is not None, "without keys there is nothing to check"
    secret = secret_of(headers)
    token = session_token(headers) if secret is None else None
    if token is None:
        return keys.key_for(secret, *scopes)
    session = session_in(token, known)
    if method not in SAFE_METHODS:
        refuse_cross_site(headers, must_tell=True)
        if not known.sessions.is_csrf_token(session, text(headers, CSRF_HEADER.lower().encode()) or ""):
            raise CrossSiteRequest(f"send the csrf_token of GET /session as {CSRF_HEADER}")
    return keys.key_of_session(session.name, session.digest, *scopes)


def still_allowed(headers: HeaderValues, known: Credentials, *scopes: str) -> bool:
    """Whether a request to read that was let in would be let in now: its key or session may be gone or over."""
    if known.keys is None:
        return True
    try:
        authenticate(headers, "GET", known, *scopes)
    except ServiceError:
        return False
    return True


def session_in(token: str, known: Credentials) -> Session:
    """The session of a cookie's token. Raises Unauthorized."""
    session = known.sessions.read(token)
    if session is None:
        raise Unauthorized(SESSION_OVER)
    return session


def refuse_cross_site(headers: HeaderValues, *, must_tell: bool) -> None:
    """Raises CrossSiteRequest where another page has made the browser send this, or, with `must_tell`, where
    nothing says that it comes from this origin."""
    site = text(headers, b"sec-fetch-site")
    if site is not None:  # browsers send it to https and to the loopback, and no page can forge it
        if site != "same-origin":
            raise CrossSiteRequest(f"the request comes from another page (Sec-Fetch-Site {site[:32]!r})")
        return
    origin = text(headers, b"origin")
    if origin is None:
        if must_tell:
            raise CrossSiteRequest("send the header Origin, as browsers do, or an API key instead of the cookie")
    elif urlsplit(origin).netloc.lower() != (text(headers, b"host") or "").lower():
        raise CrossSiteRequest(f"the Origin {origin[:64]!r} is not the address that was asked")


def session_token(headers: HeaderValues) -> str | None:
    """The value of the session cookie, None where there is none."""
    sent = text(headers, b"cookie")
    if sent is None or SESSION_COOKIE not in sent:
        return None
    try:
        found = SimpleCookie(sent).get(SESSION_COOKIE)
    except CookieError:
        return None
    return found.value if found is not None else None


def secret_of(headers: HeaderValues) -> str | None:
    """The key as the routes' security schemes would find it."""
    scheme, credentials = get_authorization_scheme_param(text(headers, b"authorization"))
    return credentials if scheme.lower() == "bearer" and credentials else text(headers, b"x-api-key")


def first_values(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """An ASGI scope's headers by name, the first of each: looked up often, and the framework searches its list."""
    return dict(reversed(list(headers)))


def text(headers: HeaderValues, name: bytes) -> str | None:
    """One header's value as the framework would give it."""
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")
