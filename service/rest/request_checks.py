"""What a request is checked against, counted by and refused by before any route has seen it."""

from __future__ import annotations

from service.auth import KeyRing
from service.engine.admission import Admission
from service.metrics import Metrics
from service.rest.held_answers import HeldAnswers
from service.rest.options import RestOptions
from service.rest.refusal_pace import RefusalPace
from service.sessions import Sessions
from service.shutdown_flag import ShutdownFlag


class RequestChecks:
    """Options, keys and the shutdown flag are there from the start; the rest once the engine is made."""

    def __init__(self, options: RestOptions, keys: KeyRing | None) -> None:
        self.options = options
        self.keys = keys
        self.shutdown = ShutdownFlag()
        self.refusal_pace = RefusalPace()
        self.held_answers = HeldAnswers()
        self._admission: Admission | None = None
        self._metrics: Metrics | None = None
        self._sessions: Sessions | None = None

    def start(self, admission: Admission, metrics: Metrics, sessions: Sessions) -> None:
        """Called before the first request."""
        self._admission, self._metrics, self._sessions = admission, metrics, sessions

    @property
    def admission(self) -> Admission:
        """How many images and bytes may be in flight."""
        assert self._admission is not None, "the service has not been started"
        return self._admission

    @property
    def metrics(self) -> Metrics:
        """Where requests are counted."""
        assert self._metrics is not None, "the service has not been started"
        return self._metrics

    @property
    def sessions(self) -> Sessions:
        """Who is logged in at the page."""
        assert self._sessions is not None, "the service has not been started"
        return self._sessions
