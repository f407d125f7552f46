"""Shows a station's outputs to whoever listens, its links above all, whenever they have changed."""

from __future__ import annotations

import logging
from collections.abc import Callable

from service.gateway.metrics import LineMetrics
from service.gateway.outputs_view import Outputs

Listener = Callable[[Outputs], None]


class Display:
    """Of one station; `outputs` gives what the PLC is shown now."""

    def __init__(self, station: str, metrics: LineMetrics, outputs: Callable[[], Outputs]) -> None:
        self._station = station
        self._metrics = metrics
        self._outputs = outputs
        self._listeners: list[Listener] = []
        self._shown: Outputs | None = None

    def listen(self, listener: Listener) -> None:
        """Calls `listener` with the outputs now and after each change."""
        self._listeners.append(listener)
        listener(self._outputs())

    def unlisten(self, listener: Listener) -> None:
        """The inverse of `listen`."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def show(self) -> None:
        """Something may have changed. What a listener raises is logged and goes no further."""
        shown = self._outputs()
        if shown == self._shown:
            return
        self._shown = shown
        self._metrics.set("mkd_line_ready", float(shown.ready), station=self._station)
        for listener in list(self._listeners):
            try:
                listener(shown)
            except Exception:
                logging.getLogger("mkdserve").exception("fault of a link, station %s", self._station)
