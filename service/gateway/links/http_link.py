"""Triggers by HTTP: `POST /stations/NAME/trigger`, with the picture as its body or taken by the station's source.

The answer is JSON and comes within the window; only `"decision": "OK"` is OK. Its status is 200 also for REJECT, since
the request itself was right.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service.gateway.answer_text import answer_members
from service.gateway.events import TriggerRequest
from service.gateway.picture import Picture
from service.gateway.schema import LineSchema

if TYPE_CHECKING:
    from service.gateway.runner import StationRunner


class HttpLinkSettings(LineSchema):
    """`[station.link] kind = "http"`: at the address of `[gateway]`."""

    kind: Literal["http"]
    max_bytes: int = Field(default=33554432, ge=1024, description="Largest picture that is taken, bytes.")

    def claims(self) -> set[str]:
        return set()

    def link(self, runner: StationRunner) -> HttpLink:
        return HttpLink(self, runner)


class HttpLink:
    """Answers the requests of one station."""

    def __init__(self, settings: HttpLinkSettings, runner: StationRunner) -> None:
        self._settings = settings
        self._runner = runner

    async def run(self) -> None:
        """Nothing to keep: requests come by the gateway's own server."""
        self._runner.found()
        await asyncio.Event().wait()

    async def trigger(self, request: Request) -> Response:
        """One trigger."""
        query = request.query_params
        trigger_id = query.get("trigger_id", "0")
        if not trigger_id.isascii() or not trigger_id.isdigit() or int(trigger_id) > 0xFFFFFFFF:
            return _refusal(422, "trigger_id must be a whole number from 0 to 4294967295")
        unknown = set(query) - {"trigger_id", "recipe", "part_id"}
        if unknown:
            return _refusal(422, f"unknown parameters: {', '.join(sorted(unknown))}")
        body = await self._body(request)
        if body is None:
            return _refusal(413, f"the picture is larger than {self._settings.max_bytes} bytes")
        media_type = request.headers.get("content-type", "application/octet-stream")
        picture = Picture(body, media_type) if body else None
        asked = TriggerRequest(int(trigger_id), query.get("recipe", ""), query.get("part_id", "")[:128])
        answer = self._runner.taken(await self._runner.trigger(asked, picture))
        return JSONResponse(answer_members(self._runner.name, answer))

    async def _body(self, request: Request) -> bytes | None:
        chunks, size = [], 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > self._settings.max_bytes:
                return None
            chunks.append(chunk)
        return b"".join(chunks)


def _refusal(status: int, detail: str) -> Response:
    return JSONResponse(
        {"title": "The trigger cannot be read", "status": status, "detail": detail},
        status,
        media_type="application/problem+json",
    )
