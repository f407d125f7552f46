"""In: a request. Out: what its route asks for by type, so that route signatures read as prose."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, TypeVar, cast

from fastapi import Depends, Header, Query, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ValidationError
from starlette.requests import HTTPConnection

from service.errors import RequestError, UnsupportedBody
from service.rest.bodies.forms import JSON
from service.rest.bodies.reader import declared_length, pieces
from service.rest.product_schemas import LoadBody, VersionBody
from service.rest.request_record import RequestRecord, record_of
from service.rest.schemas import CONTEXT_PATTERN, Context, LocalizeQuery, ScoreQuery
from service.run.settings import Settings
from service.run.state import Service

BEARER = HTTPBearer(auto_error=False, description="API key", scheme_name="bearer")
API_KEY = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="apiKey")
B = TypeVar("B", bound=BaseModel)
SMALL_BODY_BYTES = 4096
LONGEST_DEADLINE_MS = 3_600_000
DEADLINE_PATTERN = r"^[0-9]{1,7}(\.[0-9]{1,3})?$"
CONTEXT_HEADERS = {"line": "X-Line", "station": "X-Station", "part_id": "X-Part-Id"}


class InvalidParameter(RequestError):
    """A header or a small body that is not as documented; as the framework's own 422, but raised here."""

    code, status, title = "invalid_parameter", 422, "A parameter is not as documented"


async def the_service(request: Request) -> Service:
    """The running service, from the lifespan's state."""
    return cast(Service, request.state.service)


async def the_record(request: Request) -> RequestRecord:
    """The record of this request."""
    return record_of(request.scope)


def allowed(scope: str) -> Callable[..., Awaitable[None]]:
    """A dependency that lets a request pass whose key covers `scope`; everything passes where there are no keys."""

    async def check(
        service: Annotated[Service, Depends(the_service)],
        record: Annotated[RequestRecord, Depends(the_record)],
        bearer: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)],
        api_key: Annotated[str | None, Security(API_KEY)],
    ) -> None:
        if service.keys is not None:
            record.caller = service.keys.check(bearer.credentials if bearer else api_key, scope)

    return check


async def deadline(
    service: Annotated[Service, Depends(the_service)],
    record: Annotated[RequestRecord, Depends(the_record)],
    x_deadline_ms: Annotated[
        str | None,
        Header(
            description="Milliseconds after which an answer is of no use; later ones become 504.",
            pattern=DEADLINE_PATTERN,
            examples=["500"],
        ),
    ] = None,
) -> float | None:
    """The time of `time.monotonic()` by which the answer must be there; None for no deadline."""
    return deadline_of(x_deadline_ms, service.settings, record)


def deadline_of(text: str | None, settings: Settings, record: RequestRecord) -> float | None:
    """The same from the header's text, None where there is none. Raises InvalidParameter."""
    milliseconds = settings.deadline_ms
    if text is not None:
        milliseconds = float(text) if re.fullmatch(DEADLINE_PATTERN, text) else 0.0
        if not 0 < milliseconds <= LONGEST_DEADLINE_MS:
            raise InvalidParameter(f"header X-Deadline-Ms: above 0, at most {LONGEST_DEADLINE_MS:,}")
    return record.started + milliseconds / 1000 if milliseconds else None


async def line_context(request: Request, record: Annotated[RequestRecord, Depends(the_record)]) -> Context | None:
    """Line, station and part id, from the query or else from headers; noted for the log, never for a metric."""
    record.context = context_of(request)
    return Context(**record.context) if record.context else None


def context_of(request: HTTPConnection) -> dict[str, str]:
    """The same by name, only what was sent. Raises InvalidParameter."""
    found = {}
    for name, header in CONTEXT_HEADERS.items():
        text = request.query_params.get(name) or request.headers.get(header)
        if text is None:
            continue
        if not re.fullmatch(CONTEXT_PATTERN[1:-1], text):
            raise InvalidParameter(f"{name} (header {header}): 1 to 128 characters, no control characters")
        found[name] = text
    return found


async def load_body(request: Request, service: Annotated[Service, Depends(the_service)]) -> LoadBody:
    """The body of /load, which may be left out."""
    data = await _small_body(request, service)
    return _parsed(LoadBody, data) if data else LoadBody()


async def version_body(request: Request, service: Annotated[Service, Depends(the_service)]) -> VersionBody:
    """The body of /activate."""
    return _parsed(VersionBody, await _small_body(request, service))


async def _small_body(request: Request, service: Service) -> bytes:
    """Read here and not by the framework, which would read any length from anybody before it looks at the key."""
    limits = replace(service.body_limits, max_bytes=SMALL_BODY_BYTES)
    declared_length(request, limits)
    data = b"".join([piece async for piece in pieces(request, limits, None)])
    if data and request.headers.get("content-type", "").split(";")[0].strip().lower() != JSON:
        raise UnsupportedBody(f"send {JSON}")
    return data


def _parsed(schema: type[B], data: bytes) -> B:
    try:
        return schema.model_validate_json(data)
    except ValidationError as error:
        rows = error.errors(include_input=False, include_url=False, include_context=False)
        where = "; ".join(f"{'.'.join(map(str, row['loc'])) or 'the body'}: {row['msg']}" for row in rows)
        raise InvalidParameter(where) from None


TheService = Annotated[Service, Depends(the_service)]
TheRecord = Annotated[RequestRecord, Depends(the_record)]
Deadline = Annotated[float | None, Depends(deadline)]
LineContext = Annotated[Context | None, Depends(line_context)]
ScoreParameters = Annotated[ScoreQuery, Query()]
LocalizeParameters = Annotated[LocalizeQuery, Query()]
LoadRequest = Annotated[LoadBody, Depends(load_body)]
VersionRequest = Annotated[VersionBody, Depends(version_body)]
MayInfer = Depends(allowed("infer"))
MayReadMetrics = Depends(allowed("metrics"))
MayAdminister = Depends(allowed("admin"))
