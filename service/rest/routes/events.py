"""GET /events: what is judged and reviewed from now on, as server-sent events, for pages that stay open."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.responses import StreamingResponse

from service.rest.credentials import first_values, still_allowed
from service.rest.dependencies import VIEW, MayView, TheChecks, TheEvents
from service.rest.feedback_schemas import EventQuery
from service.rest.feedback_view import filter_of
from service.rest.openapi import problems_for

router = APIRouter(tags=["feedback"], dependencies=[MayView])
EventParameters = Annotated[EventQuery, Query()]
LastEventId = Annotated[
    str | None,
    Header(description="The last id that was seen: what came since is sent first.", pattern=r"^[0-9]{1,18}$"),
]
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # proxies pass each event on at once


@router.get(
    "/events",
    summary="What happens, as it happens",
    response_class=Response,
    responses={
        200: {"content": {"text/event-stream": {}}, "description": "Events: state, verdict, review, gap."},
        **problems_for(401, 403, 422, 429, 503),
    },
)
async def events(
    request: Request, events: TheEvents, checks: TheChecks, query: EventParameters, last_event_id: LastEventId = None
) -> Response:
    """Verdicts and reviews of a product and station, and the state of the service; docs/feedback.md has the events.

    The stream ends when the key or session that it was asked for with is taken away or over.
    """
    last_seen = query.after if last_event_id is None else int(last_event_id)
    headers = first_values(request.scope["headers"])
    stream = await events.listen(filter_of(query), last_seen, lambda: still_allowed(headers, checks, VIEW))
    return StreamingResponse(stream, media_type="text/event-stream", headers=HEADERS)
