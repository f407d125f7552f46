"""In: a request for a verdict, of which only the head was read. Out: its refusal where the house is full, or None.

A rush is mostly refusals, and on a CPU the network pays for each with its own time. So a full house is told here,
before routing, validation and the body; a request that may enter goes the usual way and is counted there. The key comes
first: who has none learns nothing of the load. Whatever else is wrong with a request is left to its route to say.
"""

from __future__ import annotations

from contextlib import suppress

from fastapi.security.utils import get_authorization_scheme_param
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import Scope

from service.deps import InvalidParameter, context_of, deadline_of
from service.errors import Overloaded, ServiceError
from service.http.record import RequestRecord
from service.inspection.deadlines import seconds_to
from service.run.state import Service

PATHS = frozenset({"/score", "/localize"})
SCOPE = "infer"


def refusal(scope: Scope, record: RequestRecord, service: Service) -> Overloaded | None:
    """The 429 that this request's route would come to, counted as a rejection; None where the route must look."""
    if scope["path"] not in PATHS or scope["method"] != "POST":
        return None
    request = HTTPConnection(scope)
    size = request.headers.get("content-length", "0")
    if not (size.isascii() and size.isdigit()):
        return None
    try:
        if service.keys is not None:
            record.caller = service.keys.check(secret_of(request.headers), SCOPE)
        patience_s = seconds_to(deadline_of(request.headers.get("x-deadline-ms"), service.settings, record))
        service.parts.engine.admission.knock(1, int(size), patience_s=patience_s)
    except Overloaded as error:
        record.route = scope["path"]
        with suppress(InvalidParameter):
            record.context = context_of(request)
        return error
    except ServiceError:
        return None
    return None


def secret_of(headers: Headers) -> str | None:
    """The key as the routes' security schemes would find it."""
    scheme, credentials = get_authorization_scheme_param(headers.get("authorization"))
    return credentials if scheme.lower() == "bearer" and credentials else headers.get("x-api-key")
