"""Middleware of Ray's proxy: tells its router the product of a request, and turns its refusals into problems.

Runs inside each proxy (RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=service.cluster.edge:middlewares). Ray refuses in
plain text where the service sends problem+json: no replica yet, queues full, a replica that died under the request.
"""

from __future__ import annotations

import json
import math
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from models.names import is_name
from service.errors import DeadlineExceeded, NotReady, Overloaded, ServiceError
from service.rest.problems import MEDIA_TYPE, HttpCode, problem_body
from service.rest.request_record import accepted_request_id

PRODUCT_HEADER = "serve_multiplexed_model_id"  # what Ray's proxy hands on to the router
RAYS_HEADERS = frozenset({"serve_multiplexed_model_id", "x_session_id", "x_request_timeout_seconds"})
RAYS_PATHS = "/-/"
RETRY_AFTER_S = 1.0
LOST = NotReady("the replica that had the request is gone; send it again", retry_after=RETRY_AFTER_S)
REFUSALS: dict[int, ServiceError] = {
    404: NotReady("the service is not deployed on this cluster", retry_after=5.0),
    408: DeadlineExceeded("no replica answered within the cluster's request_timeout_s"),
    429: Overloaded("the replicas are full, and so is the queue for them", retry_after=RETRY_AFTER_S),
    500: LOST,
    503: NotReady("no replica is ready", retry_after=5.0),
}


def middlewares() -> list[Middleware]:
    """What Ray's proxy puts around itself."""
    return [Middleware(Edge)]


class Edge:
    """Plain ASGI, so that neither body is buffered."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(RAYS_PATHS):
            await self.app(scope, receive, send)
            return
        request_id = accepted_request_id(Headers(scope=scope).get("x-request-id"))
        scope["headers"] = _headers(scope, request_id)
        answer = Answer(scope["path"], request_id, send)
        try:
            await self.app(scope, receive, answer.send)
        finally:
            await answer.end()


class Answer:
    """One answer on its way to the client; the service's own pass as they are."""

    def __init__(self, path: str, request_id: str, send: Send) -> None:
        self._path, self._request_id, self._send = path, request_id, send
        self._started = self._replaced = False

    async def send(self, message: Message) -> None:
        """The next message, or nothing where a problem took its place."""
        if message["type"] == "http.response.start":
            self._started = True
            headers = MutableHeaders(scope=message)
            plain = headers.get("content-type", "text/plain").startswith("text/plain")
            if plain and (refusal := REFUSALS.get(message["status"])) is not None:
                self._replaced = True
                await self._send_problem(refusal)
                return
            headers["X-Request-Id"] = self._request_id  # Ray adds one of its own
        if not self._replaced:
            await self._send(message)

    async def end(self) -> None:
        """Ray says nothing at all where a replica dies under a request."""
        if not self._started:
            self._started = True
            await self._send_problem(LOST)

    async def _send_problem(self, error: ServiceError) -> None:
        code = HttpCode(error.status, error.code, error.title)
        body = problem_body(code, error.detail, instance=self._path, request_id=self._request_id)
        headers = [(b"content-type", MEDIA_TYPE.encode()), (b"x-request-id", self._request_id.encode())]
        if error.retry_after is not None:
            headers.append((b"retry-after", str(max(1, math.ceil(error.retry_after))).encode()))
        await self._send({"type": "http.response.start", "status": error.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": json.dumps(body).encode()})


def _headers(scope: Scope, request_id: str) -> list[tuple[bytes, bytes]]:
    """The request's headers with the product, and without what steers Ray: that is not for callers."""
    kept = [
        (name, value)
        for name, value in scope["headers"]
        if (text := name.decode("latin-1").lower().replace("-", "_")) not in RAYS_HEADERS and text != "x_request_id"
    ]
    kept.append((b"x-request-id", request_id.encode()))
    product = parse_qs(scope["query_string"].decode("latin-1")).get("product", [""])[0]
    if is_name(product):
        kept.append((PRODUCT_HEADER.encode(), product.encode()))
    return kept
