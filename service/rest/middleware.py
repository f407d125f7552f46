"""In: every HTTP request before anything else sees it. Out: the same request with a record, and its one log line.

Plain ASGI, so that the body is neither buffered nor wrapped on its way to the route.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import RequestCancelled, ServiceError
from service.rest.admission_check import HeaderValues, first_values, refusal, text
from service.rest.fast_reject import LINGER_BYTES, LINGER_S
from service.rest.problems import HTTP_CODES, MEDIA_TYPE, HttpCode, headers_of, problem_bytes
from service.rest.request_checks import RequestChecks
from service.rest.request_record import SCOPE_KEY, RequestRecord, accepted_request_id, finish
from service.shutdown_flag import ShutdownFlag

TOO_SLOW = 408  # waiting on for such a client is what the limit is there to end


class RecordMiddleware:
    """Makes the record and the request id, answers the unexpected with a problem, writes the log line."""

    def __init__(self, app: ASGIApp, checks: RequestChecks) -> None:
        self.app = app
        self._checks = checks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = first_values(scope["headers"])
        record = scope.get(SCOPE_KEY)
        at_the_door = record is None  # else the connection has asked it already
        if record is None:
            request_id = accepted_request_id(text(headers, b"x-request-id"))
            record = scope[SCOPE_KEY] = RequestRecord(request_id, scope["method"], scope["path"])
        exchange = Exchange(headers, receive, send, record, self._checks.shutdown)
        try:
            if at_the_door and (full := refusal(scope, headers, record, self._checks)) is not None:
                await exchange.send_refusal(full)
            else:
                await self.app(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:
            record.code = record.code or RequestCancelled.code
            raise
        except Exception:
            logging.getLogger("mkdserve").exception("unexpected fault, request %s", record.request_id)
            record.code = HTTP_CODES[500].code
            await exchange.send_fault()
        finally:
            record.route = getattr(scope.get("route"), "path", record.route)
            finish(record, self._checks.metrics)


class Exchange:
    """One request and its answer on the wire: counts bytes, stamps headers, reads off what a refusal left unread."""

    def __init__(
        self, headers: HeaderValues, receive: Receive, send: Send, record: RequestRecord, shutdown: ShutdownFlag
    ) -> None:
        self._receive, self._send, self._record, self._shutdown = receive, send, record, shutdown
        self._has_body = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
        self._awaits_permission = headers.get(b"expect", b"").lower() == b"100-continue"
        self._body_read = not self._has_body
        self._body_asked_for = False
        self._gone = False
        self._started = False

    async def receive(self) -> Message:
        """The next message of the request, counted."""
        self._body_asked_for = True
        message = await self._receive()
        if message["type"] == "http.request":
            self._record.bytes_in += len(message.get("body", b""))
            self._body_read = self._body_read or not message.get("more_body", False)
        else:
            self._gone = True
        return message

    async def send(self, message: Message) -> None:
        """The next message of the answer, with the request id in its header."""
        if message["type"] == "http.response.start":
            self._started = True
            self._record.status = message["status"]
            headers = message["headers"] = list(message.get("headers", ()))
            headers.append((b"x-request-id", self._record.request_id.encode()))
            headers.append((b"x-content-type-options", b"nosniff"))
            # The rest of the body is still on the wire, or the next request had better go to another instance.
            if message["status"] == TOO_SLOW or not await self._read_off() or self._shutdown.is_set:
                headers.append((b"connection", b"close"))
        else:
            self._record.bytes_out += len(message.get("body", b""))
        await self._send(message)

    async def send_fault(self) -> None:
        """The answer to an exception that nobody expected; nothing where an answer has begun already."""
        if self._started:
            return
        await self._send_problem(HTTP_CODES[500], "the fault is logged under this request id", {})

    async def send_refusal(self, error: ServiceError) -> None:
        """The answer to a request that no route has seen."""
        self._record.code = error.code
        await self._send_problem(HttpCode(error.status, error.code, error.title), error.detail, headers_of(error))

    async def _send_problem(self, code: HttpCode, detail: str, more: Mapping[str, str]) -> None:
        body = problem_bytes(code, detail, self._record)
        headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        headers += [(name.lower().encode(), value.encode()) for name, value in more.items()]
        await self.send({"type": "http.response.start", "status": code.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    async def _read_off(self) -> bool:
        """Whether the body is through. A short rest is thrown away: closing on it would reset the connection, and the
        client would see that instead of the answer. Who waits for `100 Continue` sends nothing, so there is no rest."""
        if self._body_read or self._gone:
            return True
        if self._awaits_permission and not self._body_asked_for:
            return False
        left = LINGER_BYTES
        try:
            async with asyncio.timeout(LINGER_S):
                while left > 0 and not self._body_read and not self._gone:
                    left -= len((await self.receive()).get("body", b""))
        except TimeoutError:
            return False
        return self._body_read or self._gone
