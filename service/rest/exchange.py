"""Carries one request and its answer between server and application: counts bytes, stamps headers, ends it decently.

A large answer leaves in pieces, each of which waits until the client has read the ones before, and is counted as bytes
in flight until it has left. What a refusal has left unread of the body is read off, else closing the connection would
reset it and the client would see that instead of the answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from starlette.types import Message, Receive, Scope, Send

from service.errors import Overloaded, ServiceError
from service.inspection.deadlines import seconds_to
from service.rest.admission_check import AdmissionDecision
from service.rest.fast_reject import LINGER_BYTES, LINGER_S
from service.rest.problems import HTTP_CODES, HttpCode, headers_of, media_type_of, problem_bytes
from service.rest.request_checks import RequestChecks

TOO_SLOW = 408  # waiting on for such a client is what the limit is there to end
PIECE_BYTES = 256 << 10
LINGER_MOST_S = 30.0  # for the rest of a long body, whose sender reads nothing before it has sent all


class Exchange:
    """One request and its answer on the wire."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, decision: AdmissionDecision, checks: RequestChecks
    ) -> None:
        self._receive, self._send, self._decision, self._checks = receive, send, decision, checks
        self._record = decision.record
        headers = decision.headers
        length = headers.get(b"content-length", b"0")
        self._length = int(length) if length.isdigit() else 0
        self._body_read = length == b"0" and b"transfer-encoding" not in headers
        waits = headers.get(b"expect", b"").lower() == b"100-continue"
        self._awaits_permission = waits and scope.get("http_version") != "1.0"
        self._body_asked_for = False
        self._gone = False
        self._started = False
        self._lingers = False

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
            await self._start(message)
        else:
            await self._send_body(message.get("body", b""), more=message.get("more_body", False))

    async def send_fault(self) -> None:
        """The answer to an exception that nobody expected; nothing where an answer has begun already."""
        if self._started:
            return
        await self._send_problem(HTTP_CODES[500], "the fault is logged under this request id", {})

    async def send_refusal(self, error: ServiceError) -> None:
        """The answer to a request that no route has seen, held back by the pace of refusals."""
        self._record.code = error.code
        pace = self._checks.refusal_pace
        hold_s = pace.hold_s(self._decision.caller) if isinstance(error, Overloaded) else 0.0
        left_s = seconds_to(self._decision.deadline)
        hold_s = hold_s if left_s is None else min(hold_s, left_s)
        if hold_s > 0 and not pace.full:
            with pace.holding():
                await asyncio.sleep(hold_s)
        await self._send_problem(HttpCode(error.status, error.code, error.title), error.detail, headers_of(error))

    async def _start(self, message: Message) -> None:
        self._started = True
        self._record.status = message["status"]
        headers = message["headers"] = list(message.get("headers", ()))
        headers.append((b"x-request-id", self._record.request_id.encode()))
        headers.append((b"x-content-type-options", b"nosniff"))
        through = message["status"] != TOO_SLOW and not self._decision.keeps_reading and await self._read_off()
        # The rest of the body is still on the wire, or the next request had better go to another instance.
        if not through or self._checks.shutdown.is_set:
            headers.append((b"connection", b"close"))
        unread = not self._body_read and not self._gone and message["status"] != TOO_SLOW
        self._lingers = unread and not self._is_kept_back and not self._checks.refusal_pace.full
        await self._send(message)

    async def _send_body(self, body: bytes, *, more: bool) -> None:
        self._record.bytes_out += len(body)
        if self._decision.permit is not None:
            self._decision.permit.answering(len(body))
        more_follows = more or self._lingers
        for start in range(0, len(body), PIECE_BYTES):
            last = start + PIECE_BYTES >= len(body)
            piece = body if len(body) <= PIECE_BYTES else body[start : start + PIECE_BYTES]
            await self._send({"type": "http.response.body", "body": piece, "more_body": more_follows or not last})
        if not body:
            await self._send({"type": "http.response.body", "body": b"", "more_body": more_follows})
        if not more:
            self._decision.release()
            if self._lingers:
                await self._linger()

    async def _send_problem(self, code: HttpCode, detail: str, more: Mapping[str, str]) -> None:
        body = problem_bytes(code, detail, self._record)
        headers = [
            (b"content-type", media_type_of(self._record.path).encode()),
            (b"content-length", str(len(body)).encode()),
        ]
        headers += [(name.lower().encode(), value.encode()) for name, value in more.items()]
        await self.send({"type": "http.response.start", "status": code.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    @property
    def _is_kept_back(self) -> bool:
        """Whether the client sends no body before it is told to: then there is no rest."""
        return self._awaits_permission and not self._body_asked_for

    async def _read_off(self) -> bool:
        """Whether the body is through. A short rest is thrown away first, so that the connection is kept."""
        if self._body_read or self._gone:
            return True
        if self._is_kept_back or self._length - self._record.bytes_in > LINGER_BYTES:
            return False
        left = LINGER_BYTES
        try:
            async with asyncio.timeout(LINGER_S):
                while left > 0 and not self._body_read and not self._gone:
                    left -= len((await self.receive()).get("body", b""))
        except TimeoutError:
            return False
        return self._body_read or self._gone

    async def _linger(self) -> None:
        """Throw the rest of a long body away, after the answer: its sender may look for one only at the end."""
        late = time.monotonic() + LINGER_MOST_S
        with self._checks.refusal_pace.holding():
            try:
                while not self._body_read and not self._gone and not self._checks.shutdown.is_set:
                    async with asyncio.timeout(min(LINGER_S, late - time.monotonic())):
                        await self.receive()
            except TimeoutError:
                pass
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
