"""Reads what a well-formed request for a verdict asks in a few steps of its own and leaves all others to the framework.

The framework asks each dependency and each parameter of a route one by one, for every request: more work than all else
on the event loop together. The routes for verdicts still declare them, for the document and for whatever is out of the
ordinary: where anything is to be refused, nothing has been read of the body yet, and the framework says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import ValidationError

from models.names import WHOLE_NAME
from service.inspection.context import NO_LINE, LineContext
from service.rest.admission_check import CONTEXT_NAMES, AdmissionDecision, decision_of
from service.rest.dependencies import QUERIES, InvalidParameter, context_of, recorded_context
from service.rest.schemas import ScoreQuery

NAME = re.compile(WHOLE_NAME)
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class DirectRoute(APIRoute):
    """A route that takes `request`, `inspector`, `options`, `context`, where QUERIES has its path `query`, and what
    stands in its path, of which `name` is a product's.

    Its other dependencies must refuse nothing that the admission check lets pass, but for parameters of the query.
    """

    def get_route_handler(self) -> Handler:
        by_framework = super().get_route_handler()
        endpoint, path = self.endpoint, self.path

        async def handle(request: Request) -> Response:
            arguments = arguments_of(request, QUERIES.get(path))
            if arguments is None:
                return await by_framework(request)
            response: Response = await endpoint(request=request, **arguments, **request.path_params)
            return response

        return handle


def arguments_of(request: Request, schema: type[ScoreQuery] | None) -> dict[str, object] | None:
    """What the endpoint is called with; None where the request was not admitted or is not as documented.

    The admission check has found the key to be good and has read the deadline.
    """
    decision = decision_of(request)
    name = request.path_params.get("name")
    if decision.permit is None or (name is not None and NAME.fullmatch(name) is None):
        return None
    query = None
    if schema is not None and (query := query_of(request, schema)) is None:
        return None
    try:
        context = recorded_context(decision.record, line_of(request, decision), decision.deadline)
    except InvalidParameter:
        return None
    state = request.state
    arguments = {"inspector": state.inspector, "options": state.checks.options, "context": context}
    return arguments if query is None else {**arguments, "query": query}


def query_of(request: Request, schema: type[ScoreQuery]) -> ScoreQuery | None:
    """The query's parameters; None where one is unknown, there twice, or not as documented."""
    if not request.scope["query_string"]:
        return schema()
    items = request.query_params.multi_items()
    given = dict(items)
    if len(given) < len(items):
        return None
    try:
        return schema.model_validate(given)
    except ValidationError:
        return None


def line_of(request: Request, decision: AdmissionDecision) -> LineContext:
    """Line, station and part id; looked for only where the query or a header may tell them. Raises InvalidParameter."""
    said = request.scope["query_string"] or not CONTEXT_NAMES.isdisjoint(decision.headers)
    return context_of(request) if said else NO_LINE
