"""Tells metrics, log and observers what a station has answered."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict

from service import logs
from service.gateway.events import Answer, Decision
from service.gateway.metrics import LineMetrics
from service.gateway.ports import Observer


class Reporter:
    """Of one station. What an observer raises is logged and goes no further."""

    def __init__(self, station: str, metrics: LineMetrics, observers: Sequence[Observer]) -> None:
        self._station = station
        self._metrics = metrics
        self._observers = tuple(observers)

    def answered(self, answer: Answer) -> None:
        """A trigger has its answer."""
        self._metrics.answered(self._station, answer)
        self._metrics.seconds(self._station, "total", answer.seconds)
        level = logging.INFO if answer.decision is not Decision.REJECT else logging.WARNING
        logs.event("line answer", level, station=self._station, **_members(answer))
        self._tell(answer)

    def withdrawn(self, answer: Answer) -> None:
        """An answer is not to be used any more; this one takes its place."""
        self._metrics.count("mkd_line_withdrawn_total", station=self._station)
        logs.event("line answer withdrawn", logging.WARNING, station=self._station, **_members(answer))
        self._tell(answer)

    def noted(self, event: str) -> None:
        """Something that changes no answer."""
        self._metrics.count("mkd_line_events_total", station=self._station, event=event)
        logs.event("line event", logging.WARNING, station=self._station, what=event)

    def _tell(self, answer: Answer) -> None:
        for observer in self._observers:
            try:
                observer.on_answer(self._station, answer)
            except Exception:
                logging.getLogger("mkdserve").exception("fault of an observer, station %s", self._station)


def _members(answer: Answer) -> dict[str, object]:
    return {**asdict(answer), "decision": answer.decision.value, "code": int(answer.code)}
