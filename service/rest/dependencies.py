"""What a route can ask for by type, each a small part of the application or of the request."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, TypeVar, cast

from fastapi import Depends, Header, Query, Request, Security
from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ValidationError
from starlette.requests import HTTPConnection

from service.drift.observer import DriftObserver
from service.errors import FeedbackOff, RequestError, UnsupportedBody
from service.feedback.access import FeedbackAccess
from service.feedback.defect_groups.finder import DefectFinder
from service.feedback.recalibration.recalibrator import Recalibrator
from service.inspection.context import CONTEXT_RULE, InspectionContext, LineContext, LineContextError
from service.inspection.inspector import Inspector
from service.inspection.thread_pool import WorkerThreads
from service.products.registry import Registry
from service.rest.app_state import Operation
from service.rest.bodies.forms import JSON
from service.rest.bodies.reader import declared_length, pieces
from service.rest.credentials import CSRF_HEADER, SESSION_COOKIE, authenticate, first_values
from service.rest.defect_group_schemas import GroupNameBody
from service.rest.event_hub import EventHub
from service.rest.feedback_schemas import ReviewBody
from service.rest.foreign import refuse_foreign
from service.rest.forms import DEADLINE_PATTERN
from service.rest.options import RestOptions
from service.rest.product_schemas import LoadBody, VersionBody
from service.rest.recalibration_schemas import RecalibrationBody
from service.rest.request_checks import RequestChecks
from service.rest.request_record import SURFACE, RequestRecord, record_of
from service.rest.schemas import LocalizeQuery, ScoreQuery
from service.rest.session_schemas import SessionBody

BEARER = HTTPBearer(auto_error=False, description="API key", scheme_name="bearer")
API_KEY = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="apiKey")
SESSION = APIKeyCookie(
    name=SESSION_COOKIE,
    auto_error=False,
    scheme_name="session",
    description=f"Cookie of POST /session; what changes something needs {CSRF_HEADER} and Origin as well",
)
B = TypeVar("B", bound=BaseModel)
ADMIN, VIEW, REVIEW = "admin", "view", "review"
OF_THIS_MACHINE = frozenset({ADMIN, VIEW, REVIEW})  # without keys, for nobody whom a web page of others sends
QUERIES: dict[str, type[ScoreQuery]] = {
    "/score": ScoreQuery,
    "/score/stream": ScoreQuery,
    "/localize": LocalizeQuery,
}
SMALL_BODY_BYTES = 4096
REVIEW_BODY_BYTES = 16 << 10  # a note may be written in escapes of six bytes
_DEADLINE = re.compile(DEADLINE_PATTERN)
LONGEST_DEADLINE_MS = 3_600_000
CONTEXT_HEADERS = {"line": "X-Line", "station": "X-Station", "part_id": "X-Part-Id"}


class InvalidParameter(RequestError):
    """A header or a small body that is not as documented; as the framework's own 422, but raised here."""

    code, status, title = "invalid_parameter", 422, "A parameter is not as documented"


async def checks(request: Request) -> RequestChecks:
    """Keys and options, from the lifespan's state."""
    return cast(RequestChecks, request.state.checks)


async def options(checks: Annotated[RequestChecks, Depends(checks)]) -> RestOptions:
    """What the settings say to the HTTP surface."""
    return checks.options


async def inspector(request: Request) -> Inspector:
    """The judging core."""
    return cast(Inspector, request.state.inspector)


async def products(inspector: Annotated[Inspector, Depends(inspector)]) -> Registry:
    """The products that are served."""
    return inspector.products


async def threads(inspector: Annotated[Inspector, Depends(inspector)]) -> WorkerThreads:
    """The threads for decoding and encoding."""
    return inspector.threads


async def operation(request: Request) -> Operation:
    """How the process is doing."""
    return cast(Operation, request.state.operation)


async def drift_observer(request: Request) -> DriftObserver | None:
    """The drift watch; None where drift is not watched."""
    return cast("DriftObserver | None", request.state.drift)


async def feedback(request: Request) -> FeedbackAccess:
    """The feedback store. Raises FeedbackOff where there is none."""
    found = cast("FeedbackAccess | None", request.state.feedback)
    if found is None:
        raise FeedbackOff("the service was started without a feedback store; the setting is feedback")
    return found


async def recalibrator(request: Request) -> Recalibrator:
    """What recalibrates products from the store. Raises FeedbackOff where there is none."""
    found = cast("Recalibrator | None", request.state.recalibrator)
    if found is None:
        raise FeedbackOff("the service was started without a feedback store; the setting is feedback")
    return found


async def defect_finder(request: Request) -> DefectFinder:
    """Who finds recurring defects. Raises FeedbackOff where there is no feedback store."""
    found = cast("DefectFinder | None", request.state.defects)
    if found is None:
        raise FeedbackOff("the service was started without a feedback store; the setting is feedback")
    return found


async def event_hub(request: Request) -> EventHub:
    """Who tells pages of what is new. Raises FeedbackOff where there is no store that it could read."""
    found = cast("EventHub | None", request.state.events)
    if found is None:
        raise FeedbackOff("the service was started without a feedback store; the setting is feedback")
    return found


async def the_record(request: Request) -> RequestRecord:
    """The record of this request."""
    return record_of(request.scope)


def allowed(*scopes: str) -> Callable[..., Awaitable[None]]:
    """A dependency that lets a request pass whose key, or session, covers one of `scopes`.

    Everything passes where there are no keys, but for what another's page has made a browser ask of our page's routes.
    """
    own_pages_alone = OF_THIS_MACHINE.issuperset(scopes)

    async def check(
        request: Request,
        checks: Annotated[RequestChecks, Depends(checks)],
        record: Annotated[RequestRecord, Depends(the_record)],
        _bearer: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)],
        _api_key: Annotated[str | None, Security(API_KEY)],
        _session: Annotated[str | None, Security(SESSION)],
    ) -> None:
        if checks.keys is not None:  # the three schemes above are for the document; one function reads them all
            key = authenticate(first_values(request.scope["headers"]), request.method, checks, *scopes)
            record.caller, record.is_admin = key.name, key.covers(ADMIN)
            return
        if own_pages_alone:
            refuse_foreign(request, checks.options.host)
        record.is_admin = True

    return check


async def deadline(
    options: Annotated[RestOptions, Depends(options)],
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
    return deadline_of(x_deadline_ms, options, record)


def deadline_of(text: str | None, options: RestOptions, record: RequestRecord) -> float | None:
    """The same from the header's text, None where there is none. Raises InvalidParameter."""
    milliseconds = options.deadline_ms
    if text is not None:
        milliseconds = float(text) if _DEADLINE.fullmatch(text) else 0.0
        if not 0 < milliseconds <= LONGEST_DEADLINE_MS:
            raise InvalidParameter(f"header X-Deadline-Ms: above 0, at most {LONGEST_DEADLINE_MS:,}")
    return record.started + milliseconds / 1000 if milliseconds else None


async def inspection_context(
    request: Request,
    record: Annotated[RequestRecord, Depends(the_record)],
    deadline: Annotated[float | None, Depends(deadline)],
) -> InspectionContext:
    """What goes with the request through the core; the record keeps it for the log."""
    return recorded_context(record, context_of(request), deadline)


def recorded_context(record: RequestRecord, line: LineContext, deadline: float | None) -> InspectionContext:
    """The same of what has been read already."""
    record.context = line
    record.inspection = InspectionContext(
        record.request_id,
        SURFACE,
        line=line,
        deadline=deadline,
        caller=record.caller,
        started=record.started,
    )
    return record.inspection


def context_of(request: HTTPConnection) -> LineContext:
    """Line, station and part id, from the query or else from headers. Raises InvalidParameter."""
    given = {
        name: request.query_params.get(name) or header_text(request, header) for name, header in CONTEXT_HEADERS.items()
    }
    try:
        return LineContext(**given)
    except LineContextError as error:
        header = CONTEXT_HEADERS[error.member]
        raise InvalidParameter(f"{error.member} (header {header}): {CONTEXT_RULE}") from None


def header_text(request: HTTPConnection, name: str) -> str | None:
    """A header's value, UTF-8 where it is that; None where it is missing."""
    text = request.headers.get(name)
    if text is None or text.isascii():
        return text
    try:
        return text.encode("latin-1").decode()
    except UnicodeDecodeError:
        return text


async def known_parameters(request: Request) -> None:
    """Refuses a query parameter that is not known, or is there twice: neither may change a decision silently."""
    known = QUERIES[request.scope["route"].path].model_fields
    counts = Counter(name for name, _ in request.query_params.multi_items())
    wrong = [f"{name[:64]!r} is not known" for name in counts if name not in known]
    wrong += [f"{name!r} is there {count} times" for name, count in counts.items() if name in known and count > 1]
    if wrong:
        raise InvalidParameter(f"query: {'; '.join(wrong[:4])}; known are {', '.join(known)}, each once")


async def load_body(request: Request, options: Annotated[RestOptions, Depends(options)]) -> LoadBody:
    """The body of /load, which may be left out."""
    data = await _small_body(request, options)
    return _parsed(LoadBody, data) if data else LoadBody()


async def version_body(request: Request, options: Annotated[RestOptions, Depends(options)]) -> VersionBody:
    """The body of /activate."""
    return _parsed(VersionBody, await _small_body(request, options))


async def review_body(request: Request, options: Annotated[RestOptions, Depends(options)]) -> ReviewBody:
    """The body of /verdicts/{id}/reviews."""
    return _parsed(ReviewBody, await _small_body(request, options, REVIEW_BODY_BYTES))


async def group_name_body(request: Request, options: Annotated[RestOptions, Depends(options)]) -> GroupNameBody:
    """The body of /products/{name}/defect-groups/{id}/name."""
    return _parsed(GroupNameBody, await _small_body(request, options))


async def session_body(request: Request, options: Annotated[RestOptions, Depends(options)]) -> SessionBody:
    """The body of POST /session."""
    return _parsed(SessionBody, await _small_body(request, options))


async def recalibration_body(request: Request, options: Annotated[RestOptions, Depends(options)]) -> RecalibrationBody:
    """The body of /recalibrations, which may be left out."""
    data = await _small_body(request, options)
    return _parsed(RecalibrationBody, data) if data else RecalibrationBody()


async def _small_body(request: Request, options: RestOptions, most: int = SMALL_BODY_BYTES) -> bytes:
    """Read here and not by the framework, which would read any length from anybody before it looks at the key."""
    limits = replace(options.body_limits, max_bytes=most)
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


TheChecks = Annotated[RequestChecks, Depends(checks)]
TheRecord = Annotated[RequestRecord, Depends(the_record)]
TheOptions = Annotated[RestOptions, Depends(options)]
TheInspector = Annotated[Inspector, Depends(inspector)]
TheProducts = Annotated[Registry, Depends(products)]
TheThreads = Annotated[WorkerThreads, Depends(threads)]
TheOperation = Annotated[Operation, Depends(operation)]
TheDriftObserver = Annotated[DriftObserver | None, Depends(drift_observer)]
TheFeedback = Annotated[FeedbackAccess, Depends(feedback)]
TheRecalibrator = Annotated[Recalibrator, Depends(recalibrator)]
TheDefects = Annotated[DefectFinder, Depends(defect_finder)]
TheEvents = Annotated[EventHub, Depends(event_hub)]
TheDeadline = Annotated[float | None, Depends(deadline)]
TheContext = Annotated[InspectionContext, Depends(inspection_context)]
ScoreParameters = Annotated[ScoreQuery, Query()]
LocalizeParameters = Annotated[LocalizeQuery, Query()]
LoadRequest = Annotated[LoadBody, Depends(load_body)]
VersionRequest = Annotated[VersionBody, Depends(version_body)]
ReviewRequest = Annotated[ReviewBody, Depends(review_body)]
GroupNameRequest = Annotated[GroupNameBody, Depends(group_name_body)]
RecalibrationRequest = Annotated[RecalibrationBody, Depends(recalibration_body)]
SessionRequest = Annotated[SessionBody, Depends(session_body)]
KnownParameters = Depends(known_parameters)
MayInfer = Depends(allowed("infer"))
MayReadMetrics = Depends(allowed("metrics"))
MayView = Depends(allowed(VIEW))
MayReview = Depends(allowed(REVIEW))
MayAdminister = Depends(allowed(ADMIN))
MayInferOrView = Depends(allowed("infer", VIEW))
