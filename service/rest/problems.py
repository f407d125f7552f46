"""Turns every refusal and fault into a problem+json answer (RFC 9457).

Each carries `type`, `title`, `status`, `detail`, `instance`, and beside the standard's members `code` (stable, what
programs should look at) and `request_id`. `ServiceError` brings its own code; those that only HTTP knows stand in
`HTTP_CODES`. A path of the Open Inference Protocol (/v2) has that protocol's form instead: `error` in words, and beside
it code and request id.
"""

from __future__ import annotations

import http
import json
import math
from collections.abc import Mapping
from typing import NamedTuple

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from service.errors import RequestCancelled, ServiceError, Unauthorized
from service.rest.forms import message_of
from service.rest.request_record import RequestRecord, record_of

PROBLEM_TYPE = "urn:mkdserve:problem:"
MEDIA_TYPE = "application/problem+json"
OPEN_INFERENCE = "/v2"
ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
RETRY_AFTER_WITHOUT_MEASURE_S = 1.0


class HttpCode(NamedTuple):
    """A refusal that the web framework raises, not the service."""

    status: int
    code: str
    title: str


HTTP_CODES = {
    row.status: row
    for row in (
        HttpCode(400, "malformed_request", "The request cannot be read"),
        HttpCode(404, "not_found", "No such path"),
        HttpCode(405, "method_not_allowed", "The path does not take this method"),
        HttpCode(422, "invalid_parameter", "A parameter is not as documented"),
        HttpCode(431, "headers_too_large", "The headers are too large"),
        HttpCode(500, "internal_error", "The service has a fault"),
    )
}


def http_code(status: int) -> HttpCode:
    """The row for `status`; one outside the table is named by its phrase, so that nothing is ever without a code."""
    if status in HTTP_CODES:
        return HTTP_CODES[status]
    phrase = http.HTTPStatus(status).phrase
    return HttpCode(status, phrase.lower().replace(" ", "_").replace("-", "_"), phrase)


def problem_body(
    code: HttpCode, detail: str, *, instance: str, request_id: str, errors: list[dict[str, str]] | None = None
) -> dict[str, object]:
    """The members of one problem, in the order in which a person reads them."""
    body: dict[str, object] = {
        "type": PROBLEM_TYPE + code.code,
        "title": code.title,
        "status": code.status,
        "detail": detail,
        "instance": instance,
        "code": code.code,
        "request_id": request_id,
    }
    if errors:
        body["errors"] = errors
    return body


def is_open_inference(path: str) -> bool:
    """Whether a path belongs to the Open Inference Protocol, whose refusals have a form of their own."""
    return path == OPEN_INFERENCE or path.startswith(f"{OPEN_INFERENCE}/")


def media_type_of(path: str) -> str:
    """The media type of a problem under `path`."""
    return "application/json" if is_open_inference(path) else MEDIA_TYPE


def body_for(
    path: str, code: HttpCode, detail: str, request_id: str, errors: list[dict[str, str]] | None = None
) -> dict[str, object]:
    """The members of one problem in the form of `path`."""
    if is_open_inference(path):
        return {"error": f"{code.code}: {detail}", "code": code.code, "request_id": request_id}
    return problem_body(code, detail, instance=path, request_id=request_id, errors=errors)


def problem_bytes(code: HttpCode, detail: str, record: RequestRecord) -> bytes:
    """The body of one problem, for where there is no framework to write it."""
    members = body_for(record.path, code, detail, record.request_id)
    return ENCODER.encode(members).encode()


def problem(
    request: Request,
    code: HttpCode,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    errors: list[dict[str, str]] | None = None,
) -> Response:
    """The answer to `request`, noted in its record so that the log line tells the same code."""
    record = record_of(request.scope)
    record.code = code.code
    body = body_for(request.url.path, code, detail, record.request_id, errors)
    return JSONResponse(body, code.status, headers, media_type=media_type_of(request.url.path))


def service_problem(request: Request, error: ServiceError) -> Response:
    """The answer for one of the service's own refusals."""
    code = HttpCode(error.status, error.code, error.title)
    return problem(request, code, error.detail, headers=headers_of(error))


def headers_of(error: ServiceError) -> dict[str, str]:
    """Retry-After where waiting helps, and how to authenticate where that is what is missing."""
    headers = {}
    if error.status in (429, 503):
        headers["Retry-After"] = str(retry_after_of(error))
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="mkdserve"'
    return headers


def retry_after_of(error: ServiceError) -> int:
    """Whole seconds, at least 1, after which to ask again."""
    return max(1, math.ceil(RETRY_AFTER_WITHOUT_MEASURE_S if error.retry_after is None else error.retry_after))


async def on_service_error(request: Request, exc: Exception) -> Response:
    """Handler of `ServiceError`."""
    assert isinstance(exc, ServiceError)
    if isinstance(exc, RequestCancelled):  # nobody listens any more; the status is for the log alone
        record_of(request.scope).code = exc.code
        return Response(status_code=exc.status)
    return service_problem(request, exc)


async def on_http_exception(request: Request, exc: Exception) -> Response:
    """Handler of what the framework raises: unknown path, wrong method."""
    assert isinstance(exc, HTTPException)
    code = http_code(exc.status_code)
    details = {
        404: f"there is nothing at {request.url.path}; GET /docs lists what there is",
        405: f"{request.url.path} does not take {request.method}",
    }
    return problem(request, code, details.get(exc.status_code, exc.detail), headers=exc.headers)


async def on_validation_error(request: Request, exc: Exception) -> Response:
    """Handler of parameters that break their documented form; says where and why, never what was sent."""
    assert isinstance(exc, RequestValidationError)
    errors = [{"where": ".".join(map(str, row["loc"])), "message": message_of(row)} for row in exc.errors()]
    detail = "; ".join(f"{row['where']}: {row['message']}" for row in errors)
    return problem(request, HTTP_CODES[422], detail, errors=errors)


def install(app: FastAPI) -> None:
    """Every error of `app` becomes a problem; the unexpected ones are caught by `middleware.RecordMiddleware`."""
    app.add_exception_handler(ServiceError, on_service_error)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(RequestValidationError, on_validation_error)
