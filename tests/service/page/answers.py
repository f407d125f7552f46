"""Answers that a test makes up, given by the running service in place of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send


class MadeUpAnswers:
    """By method and end of the path; `sent` are the requests that were answered so, with their JSON bodies, or of a
    form the names of its files. `forms` are the last bytes of each field of the forms.

    The service gives them, and not a handler in the browser: one there takes the cache away and stands between
    the page and each of its files.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.forms: list[dict[str, bytes]] = []
        self._made: dict[tuple[str, str], Callable[[], tuple[int, Any]]] = {}

    def add(self, method: str, end: str, body: Any, status: int = 200) -> None:
        """Answer with this body, or with what it gives when it is called; None for no body."""
        self._made[method, end] = lambda: (status, body() if callable(body) else body)

    def sent_to(self, end: str) -> list[Any]:
        """The bodies of the requests to paths with this end."""
        return [body for call, body in self.sent if call.endswith(end)]

    def clear(self) -> None:
        """The service answers by itself again."""
        self.sent.clear()
        self.forms.clear()
        self._made.clear()

    async def answer(self, request: Request) -> Response | None:
        """None where nothing has been made up for a request."""
        for (method, end), made in list(self._made.items()):
            if request.method == method and request.url.path.endswith(end):
                self.sent.append((f"{method} {end}", await self._body_of(request)))
                status, body = made()
                content = b"" if body is None else json.dumps(body).encode()
                return Response(content, status, media_type="application/json")
        return None

    async def _body_of(self, request: Request) -> Any:
        kind = request.headers.get("content-type", "")
        if "multipart" in kind:
            async with request.form(max_files=100) as form:
                files = [(field, part) for field, part in form.multi_items() if isinstance(part, UploadFile)]
                self.forms.append({field: await part.read() for field, part in files})
                return [part.filename for _, part in files]
        data = await request.body()
        return json.loads(data) if "json" in kind else None


class MadeUpAnswersMiddleware:
    """Asks `answers` before the application."""

    def __init__(self, app: ASGIApp, answers: MadeUpAnswers) -> None:
        self._app = app
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._answers.answer(Request(scope, receive)) if scope["type"] == "http" else None
        await (answer or self._app)(scope, receive, send)
