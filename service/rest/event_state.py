"""What a page has to know before it trusts a verdict: readiness, products that have drifted, and the store's state."""

from __future__ import annotations

from service.drift.observer import DriftObserver
from service.products.registry import Registry
from service.rest.app_state import Operation
from service.rest.drift_view import drift_reply
from service.rest.options import RestOptions


class EventState:
    """Gives the data of a state event. Drift is what this process has seen of it."""

    def __init__(
        self, operation: Operation, products: Registry, drift: DriftObserver | None, options: RestOptions
    ) -> None:
        self._operation = operation
        self._products = products
        self._drift = drift
        self._options = options

    def __call__(self, trouble: str | None) -> dict[str, object]:
        """`trouble` says why the store cannot be used, None where it can."""
        ready, reason = self._operation.ready()
        return {
            "ready": ready,
            "reason": reason or None,
            "drift": self._drifted(),
            "feedback": {"ok": trouble is None, "reason": trouble},
        }

    def _drifted(self) -> list[dict[str, object]]:
        """Each product that has drifted, with the words of its drift reply."""
        if self._drift is None:
            return []
        found: list[dict[str, object]] = []
        for status in self._products.products():
            report = self._drift.report(status.name)
            if report is not None and report.drifted:
                reply = drift_reply(status.name, self._options, report)
                found.append({"product": status.name, "version": reply.version, "words": reply.words})
        return found
