"""Decides once for each request for a verdict, as soon as its head is complete, whether it is admitted.

In: the head of a request. Out: a permit, or the refusal. The connection asks where it can (`service.rest.protocol`),
the middleware where the server is another one, and the route takes the permit out of the scope. A rush is mostly
refusals, and on a CPU the network pays for each with its own time, so this comes before routing, validation and body.
The key comes first: who has none learns nothing of the load. Whatever else is wrong is left to the route to say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import Scope

from service.engine.admission import Permit
from service.errors import Overloaded, ServiceError, ShuttingDown
from service.inspection.deadlines import seconds_to
from service.rest.credentials import HeaderValues, authenticate, first_values, text
from service.rest.dependencies import CONTEXT_HEADERS, InvalidParameter, context_of, deadline_of
from service.rest.request_checks import RequestChecks
from service.rest.request_record import SCOPE_KEY, RequestRecord, accepted_request_id

PATHS = frozenset({"/score", "/localize", "/score/stream"})
OPEN_INFERENCE_PATH = re.compile(r"/v2/models/[^/]+(/versions/[^/]+)?/infer")
OPEN_INFERENCE_ROUTE = "/v2/models/{name}/infer"
DECISION_KEY = "mkdserve.admission"
INFER = "infer"
CONTEXT_NAMES = frozenset(header.lower().encode() for header in CONTEXT_HEADERS.values())


class AdmissionDecision:
    """What became of one request: `permit`, or `error`; neither where the path needs no permit."""

    def __init__(self, record: RequestRecord, headers: HeaderValues) -> None:
        self.record = record
        self.headers = headers
        self.permit: Permit | None = None
        self.error: ServiceError | None = None
        self.deadline: float | None = None
        self.keeps_reading = False  # the route answers while the body still comes
        self.caller = ""  # of whom bytes and refusals are counted: the name of the key, or the peer's address

    @property
    def refusal(self) -> Overloaded | ShuttingDown | None:
        """The refusal that is told before any route looks; other errors are left to the route."""
        return self.error if isinstance(self.error, Overloaded | ShuttingDown) else None

    def release(self) -> None:
        """Give the permit back; may be called again."""
        if self.permit is not None:
            self.permit.release()


def decide(scope: Scope, checks: RequestChecks) -> AdmissionDecision:
    """The decision for the request of `scope`, which is put into it with the request's record."""
    headers = first_values(scope["headers"])
    record = RequestRecord(accepted_request_id(text(headers, b"x-request-id")), scope["method"], scope["path"])
    decision = AdmissionDecision(record, headers)
    scope[SCOPE_KEY], scope[DECISION_KEY] = record, decision
    route = _route_of(scope["path"].removeprefix(scope.get("root_path", "")))
    if route is not None and scope["method"] == "POST":
        _try_admit(scope, decision, checks)
        if decision.refusal is not None:
            _note_refusal(scope, decision, route)
    return decision


def _route_of(path: str) -> str | None:
    """The template of a path that needs a permit; None for all others."""
    if path in PATHS:
        return path
    return OPEN_INFERENCE_ROUTE if OPEN_INFERENCE_PATH.fullmatch(path) else None


def decision_of(connection: HTTPConnection) -> AdmissionDecision:
    """What has become of a request."""
    decision = connection.scope[DECISION_KEY]
    assert isinstance(decision, AdmissionDecision)
    return decision


def permit_of(connection: HTTPConnection) -> Permit:
    """The permit of an admitted request; raises what kept it from being admitted.

    The route that asks has checked all that the error could be about, so an error means that something has changed
    since (a key that has been revoked).
    """
    decision = decision_of(connection)
    if decision.permit is None:
        raise decision.error or RuntimeError(f"{connection.scope['path']} is not one of the paths that need a permit")
    return decision.permit


def _try_admit(scope: Scope, decision: AdmissionDecision, checks: RequestChecks) -> None:
    record, headers = decision.record, decision.headers
    length = headers.get(b"content-length", b"")
    announced = int(length) if length.isdigit() else 0
    if announced > checks.options.body_limits.max_bytes:  # refused for good by its route
        announced = 0
    chunked = b"transfer-encoding" in headers
    try:
        if checks.keys is not None:
            record.caller = authenticate(headers, scope["method"], checks, INFER).name
        decision.caller = caller_of(scope, record)
        decision.deadline = deadline_of(text(headers, b"x-deadline-ms"), checks.options, record)
        admission = checks.admission
        decision.permit = admission.try_admit(
            1,
            admission.reservation if chunked else min(announced, admission.reservation),
            announced=announced,
            patience_s=seconds_to(decision.deadline),
            caller=decision.caller,
        )
    except ServiceError as error:
        decision.error = error


def _note_refusal(scope: Scope, decision: AdmissionDecision, route: str) -> None:
    """For the log line, which is else written from what the route has found."""
    decision.record.route = route
    if scope["query_string"] or not CONTEXT_NAMES.isdisjoint(decision.headers):
        with suppress(InvalidParameter):
            decision.record.context = context_of(HTTPConnection(scope))


def caller_of(scope: Mapping[str, Any], record: RequestRecord) -> str:
    """The name of the key, or the address that the request comes from."""
    if record.caller is not None:
        return f"key {record.caller}"
    client = scope.get("client")
    return str(client[0]) if client else ""
