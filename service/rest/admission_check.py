"""In: a request for a verdict, of which only the head was read. Out: its refusal where the house is full, or None.

A rush is mostly refusals, and on a CPU the network pays for each with its own time. So a full house is told here,
before routing, validation and the body; a request that may enter goes the usual way and is counted there. The key comes
first: who has none learns nothing of the load. Whatever else is wrong with a request is left to its route to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from fastapi.security.utils import get_authorization_scheme_param
from starlette.requests import HTTPConnection
from starlette.types import Scope

from service.errors import Overloaded, ServiceError
from service.inspection.deadlines import seconds_to
from service.rest.dependencies import CONTEXT_HEADERS, InvalidParameter, context_of, deadline_of
from service.rest.request_checks import RequestChecks
from service.rest.request_record import RequestRecord

HeaderValues = Mapping[bytes, bytes]
PATHS = frozenset({"/score", "/localize"})
SCOPE = "infer"
CONTEXT_NAMES = frozenset(header.lower().encode() for header in CONTEXT_HEADERS.values())


def first_values(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """An ASGI scope's headers by name, the first of each: looked up often, and the framework searches its list."""
    return dict(reversed(list(headers)))


def refusal(scope: Scope, headers: HeaderValues, record: RequestRecord, checks: RequestChecks) -> Overloaded | None:
    """The 429 that this request's route would come to, counted as a rejection; None where the route must look.

    `headers` are the scope's, as `first_values` gives them.
    """
    if scope["path"] not in PATHS or scope["method"] != "POST":
        return None
    size = headers.get(b"content-length", b"0")
    if not size.isdigit():
        return None
    try:
        if checks.keys is not None:
            record.caller = checks.keys.check(secret_of(headers), SCOPE)
        patience_s = seconds_to(deadline_of(text(headers, b"x-deadline-ms"), checks.options, record))
        checks.admission.try_admit(1, int(size), patience_s=patience_s)
    except Overloaded as error:
        record.route = scope["path"]
        if scope["query_string"] or not CONTEXT_NAMES.isdisjoint(headers):
            with suppress(InvalidParameter):
                record.context = context_of(HTTPConnection(scope))
        return error
    except ServiceError:
        return None
    return None


def text(headers: HeaderValues, name: bytes) -> str | None:
    """One header's value as the framework would give it."""
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")


def secret_of(headers: HeaderValues) -> str | None:
    """The key as the routes' security schemes would find it."""
    scheme, credentials = get_authorization_scheme_param(text(headers, b"authorization"))
    return credentials if scheme.lower() == "bearer" and credentials else text(headers, b"x-api-key")
