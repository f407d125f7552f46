"""The observer that puts every verdict, and the pictures that are kept, on their way to the feedback store."""

from __future__ import annotations

from service.feedback.pending import PendingVerdict, PendingVerdicts
from service.feedback.settings import FeedbackSettings
from service.feedback.spot_checks import SpotChecks
from service.feedback.store import FeedbackStore
from service.feedback.writer import Writer
from service.inspection.observers import Picture, VerdictObserver
from service.inspection.verdict import Verdict
from service.metrics import Metrics


class FeedbackObserver(VerdictObserver):
    """Stores verdicts by a thread of its own; `store` is what reads them."""

    name = "feedback"

    def __init__(self, settings: FeedbackSettings, metrics: Metrics) -> None:
        self.store = FeedbackStore(settings, metrics)
        self._kept = settings.kept_decisions
        self._spot_checks = SpotChecks(settings.spot_check_share)
        self._metrics = metrics
        self._waiting = PendingVerdicts(settings.queue_bytes)
        self._writer = Writer(settings, self.store, self._waiting, metrics)

    def start(self) -> None:
        """Begin to store. A store that cannot be opened is no reason not to start."""
        self._writer.start()

    def on_verdict(self, verdict: Verdict, picture: Picture) -> None:
        """Put the verdict into the queue, or drop it where that is full."""
        is_spot_check = self._spot_checks.take()
        keeps = verdict.decision in self._kept or (is_spot_check and bool(self._kept))
        columns = columns_of(verdict, picture)
        columns["spot_check"] = is_spot_check
        columns["spot_check_share"] = self._spot_checks.share
        if not self._waiting.put(PendingVerdict(columns, picture.data if keeps else b"")):
            self._metrics.counter("mkd_feedback_verdicts_total", outcome="dropped").inc()
            if self.store.trouble is None:  # else the database's own failures are counted
                self._metrics.counter("mkd_feedback_failures_total", reason="queue").inc()
            self._metrics.gauge("mkd_feedback_queue").set(len(self._waiting))  # else the writer sets it

    def stop(self) -> None:
        """Store what waits, for some seconds at most."""
        self._writer.stop()


def columns_of(verdict: Verdict, picture: Picture) -> dict[str, object]:
    """The columns of a verdict's row that the verdict itself gives."""
    context = picture.context
    review = verdict.thresholds.review
    return {
        "at": picture.at,
        "request_id": context.request_id,
        "image_index": verdict.index,
        "caller": context.caller,
        "product": verdict.product,
        "version": verdict.version,
        "method": verdict.method,
        "hash": verdict.hash,
        "score": verdict.score,
        "p_value": verdict.p_value,
        "threshold": verdict.thresholds.ng.value,
        "review_threshold": review.value if review is not None else None,
        "decision": verdict.decision,
        "decided_by": verdict.decided_by,
        "line": context.line.line,
        "station": context.line.station,
        "part_id": context.line.part_id,
        "filename": verdict.name,
        "width": verdict.width,
        "height": verdict.height,
    }
