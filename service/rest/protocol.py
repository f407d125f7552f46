"""Asks the admission check as soon as a request's head is complete, and writes the usual refusal itself.

A refusal is held back by the pace of refusals (`service.rest.refusal_pace`). What is admitted goes on to the
application, with the decision in its scope.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from service.rest.admission_check import DECISION_KEY, AdmissionDecision
from service.rest.bounded_protocol import BoundedProtocol
from service.rest.fast_reject import LINGER_S, FastReject, fast_reject
from service.rest.held_answers import Held

if TYPE_CHECKING:
    from service.rest.request_checks import RequestChecks

LAST_READ_S = 2.0  # in which a client that does not read has to begin to when the server stops
LAST_REQUEST_S = 0.3  # in which a request that is on the wire when the server stops may still arrive


class InspectionProtocol(BoundedProtocol):
    """The bounded protocol with fast refusals, and patience for a last request when the server stops."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._last_request = False
        self._rejected: FastReject | None = None
        self._answer_clock: Held | None = None  # of a refusal whose body, or whose time, is to come
        self._held = False
        self._rejected_in_a_row = 0
        self._patient_at = 0.0  # when a client that does as it was told asks again

    def connection_lost(self, exc: Exception | None) -> None:
        if self._rejected is not None:
            self._end_rejected().note()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._rejected is not None and self._answer_clock is None:
            self._answer_clock = self.loop.call_later(LINGER_S, self._answer_rejected, True)
        if self._last_request and self.is_answering():
            self.cycle.keep_alive = False

    def begin_request(self) -> None:
        if self._held:  # who asks again before the answer came gets it, and no other on this connection
            self._answer_rejected(close=True)
        if self.transport.is_closing():
            return
        if not self.is_busy():  # what waits behind an answer is decided when its turn comes, by the middleware
            self._rejected = fast_reject(self.scope, self.url, self.parser.get_method(), self.checks)
        if self._rejected is not None:
            return
        self._rejected_in_a_row = 0
        try:
            super().begin_request()
        except BaseException:  # nobody else will give the permit back
            decision = cast(AdmissionDecision | None, self.scope.get(DECISION_KEY))
            if decision is not None:
                decision.release()
            raise

    def take_body(self, body: bytes) -> None:
        if self._rejected is not None:
            self._rejected.record.bytes_in += len(body)
        elif not self.transport.is_closing():
            super().take_body(body)

    def end_request(self) -> None:
        if self._rejected is not None:
            self._hold_rejected()
        elif not self.transport.is_closing():
            super().end_request()

    def is_busy(self) -> bool:
        return super().is_busy() or self._rejected is not None

    def _hold_rejected(self) -> None:
        """The body of a refused request is through: answer it when the pace of refusals says so."""
        assert self._rejected is not None
        now = self.loop.time()
        self._rejected_in_a_row = self._rejected_in_a_row + 1 if now < self._patient_at else 1
        self._patient_at = now + self._rejected.retry_after_s()
        hold_s, pace = self._rejected.hold_s(self._rejected_in_a_row), self.checks.refusal_pace
        close = not self.parser.should_keep_alive() or self._last_request
        if hold_s <= 0 or pace.full:
            self._answer_rejected(close=close or hold_s > 0)
            return
        if self._answer_clock is not None:
            self._answer_clock.cancel()
        pace.held += 1
        self._held = True
        self._answer_clock = self.checks.held_answers.hold(self.loop, hold_s, partial(self._answer_rejected, close))

    def _answer_rejected(self, close: bool) -> None:
        done = self._end_rejected()
        self.transport.write(done.answer(self.server_state.default_headers, close=close))
        if close:
            self.close()
        self.on_response_complete()

    def _end_rejected(self) -> FastReject:
        assert self._rejected is not None
        done, self._rejected = self._rejected, None
        if self._answer_clock is not None:
            self._answer_clock.cancel()
            self._answer_clock = None
        if self._held:
            self._held = False
            self.checks.refusal_pace.held -= 1
        return done

    def shutdown(self) -> None:
        """Called when the server stops. uvicorn closes idle connections at once and so resets a client that has
        just sent its request on one; here each gets a moment for that, and is closed after its answer."""
        self._send_clock.hurry(min(self.send_timeout_s, LAST_READ_S))
        if self._held:
            self._answer_rejected(close=True)
        elif self.is_answering():
            super().shutdown()
        else:
            self._last_request = True
            self.loop.call_later(LAST_REQUEST_S, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if not self.is_busy():
            self.close()


def protocol_class(checks: RequestChecks) -> type[InspectionProtocol]:
    """The protocol with its settings; uvicorn makes the instances and passes none of ours."""
    settings = checks.options
    members = {
        "checks": checks,
        "header_timeout_s": settings.header_timeout_s,
        "max_header_bytes": settings.max_header_bytes,
        "send_timeout_s": settings.send_timeout_s,
    }
    return type("ConfiguredProtocol", (InspectionProtocol,), members)
