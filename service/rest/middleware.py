"""Gives every HTTP request its record, its admission where the connection has not decided it, and its one log line.

Plain ASGI, so that the body is neither buffered nor wrapped on its way to the route.
"""

from __future__ import annotations

import asyncio
import logging

from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import RequestCancelled
from service.rest.admission_check import DECISION_KEY, AdmissionDecision, decide
from service.rest.exchange import Exchange
from service.rest.problems import HTTP_CODES
from service.rest.request_checks import RequestChecks
from service.rest.request_record import finish


class RecordMiddleware:
    """Answers what the admission check has refused and the unexpected with a problem, and counts every request."""

    def __init__(self, app: ASGIApp, checks: RequestChecks) -> None:
        self.app = app
        self._checks = checks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        decision: AdmissionDecision = scope.get(DECISION_KEY) or decide(scope, self._checks)
        record = decision.record
        exchange = Exchange(scope, receive, send, decision, self._checks)
        try:
            if decision.refusal is not None:
                await exchange.send_refusal(decision.refusal)
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
            decision.release()
            record.route = getattr(scope.get("route"), "path", record.route)
            finish(record, self._checks.metrics)
