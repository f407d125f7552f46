"""The thread that stores verdicts; a database or disk that fails delays it, and never ends it.

What comes together is stored in one transaction. One that fails is tried again every `RETRY_S` with the same verdicts;
meanwhile the queue fills, and what finds no room there is dropped and counted. At the stop there is one more try, and
what is left then is given up, counted and logged. A picture that cannot be written costs its picture, not its verdict.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from functools import partial

from service.feedback.pending import PendingVerdict, PendingVerdicts
from service.feedback.settings import FeedbackSettings
from service.feedback.store import FeedbackStore
from service.logs import event
from service.metrics import Metrics

RETRY_S = 1.0
GATHER_S = 0.1  # after the first verdict, for those that come with it
MOST_AT_ONCE = 256
LOOK_EVERY_S = 5.0  # while nothing is to be stored
STOP_S = 10.0  # for what waits to be stored
OPEN_S = 2.0  # that the start waits for the store, so that a page finds it open


class Writer:
    """The storing thread of one process, which also opens the store and sees to its retention."""

    def __init__(
        self, settings: FeedbackSettings, store: FeedbackStore, waiting: PendingVerdicts, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._store = store
        self._waiting = waiting
        self._metrics = metrics
        self._hurry = threading.Event()
        self._tried = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, and wait a little for the store to be opened."""
        self._thread = threading.Thread(target=self._run, name="mkd-feedback", daemon=True)
        self._thread.start()
        self._tried.wait(OPEN_S)

    def stop(self) -> None:
        """Store what waits, for `STOP_S` at most, and close the store."""
        self._waiting.close()
        self._hurry.set()
        if self._thread is not None:
            self._thread.join(STOP_S)
            if self._thread.is_alive():
                event("verdicts not stored in time", logging.ERROR, verdicts=len(self._waiting))
        self._store.close()

    def _run(self) -> None:
        self._store.attempt(self._store.open)
        self._tried.set()
        while True:
            is_last = self._waiting.is_closed
            batch = self._waiting.take(MOST_AT_ONCE, LOOK_EVERY_S if self._store.trouble is None else RETRY_S)
            if batch:
                if len(batch) < MOST_AT_ONCE and not self._hurry.is_set():
                    self._hurry.wait(GATHER_S)
                    batch += self._waiting.take(MOST_AT_ONCE - len(batch), 0)
                self._store_all(batch)
                self._waiting.done(batch)
                self._metrics.gauge("mkd_feedback_queue").set(len(self._waiting))
            elif is_last:
                break
            self._store.attempt(self._store.upkeep)

    def _store_all(self, batch: Sequence[PendingVerdict]) -> None:
        """Store them, however long that takes; at the stop, give up with them."""
        rows = [self._row_of(entry) for entry in batch]
        while not self._store.attempt(partial(self._store.add, rows)):
            self._metrics.gauge("mkd_feedback_queue").set(len(self._waiting))
            if self._waiting.is_closed:
                self._metrics.counter("mkd_feedback_verdicts_total", outcome="dropped").inc(len(rows))
                event("verdicts given up at the stop", logging.ERROR, verdicts=len(rows), reason=self._store.trouble)
                return
            self._hurry.wait(RETRY_S)

    def _row_of(self, entry: PendingVerdict) -> dict[str, object]:
        """The columns of its row; the picture is written where that works."""
        return {**entry.columns, **self._store.keep_picture(entry.data, float(str(entry.columns["at"])))}
