"""The observer that puts a record of every verdict, and of every review, on its way to the audit chain."""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Mapping
from typing import Literal

from service.audit.pending import PendingRecord, PendingRecords
from service.audit.writer import Writer, WriterSettings
from service.errors import NotReady
from service.inspection.context import InspectionContext
from service.inspection.observers import Picture, VerdictObserver
from service.inspection.verdict import Verdict
from service.logs import event
from service.metrics import Metrics

STOP_S = 10.0  # for what waits to get to the disk
# What a person has to mend before the service starts; a disk that is full or ill may mend while parts are inspected.
WRONG_PLACE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ELOOP})

Images = Literal["none", "ng", "ng+review"]
KEPT_DECISIONS: dict[Images, frozenset[str]] = {
    "none": frozenset(),
    "ng": frozenset({"NG"}),
    "ng+review": frozenset({"NG", "REVIEW"}),
}


class AuditTrail(VerdictObserver):
    """The observer that records. `images` says which images are kept as well."""

    name = "audit"

    def __init__(self, settings: WriterSettings, metrics: Metrics, *, images: Images, max_waiting_bytes: int) -> None:
        self._folder = settings.folder
        self._metrics = metrics
        self._kept = KEPT_DECISIONS[images]
        self._waiting = PendingRecords(max_waiting_bytes)
        self._writer = Writer(settings, self._waiting, metrics)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Take a chain. Raises NotReady where the folder is none that could ever be written to."""
        try:
            self._writer.open()
        except OSError as error:
            if error.errno in WRONG_PLACE:
                raise NotReady(f"audit_folder {self._folder}: {error.strerror}") from None
            event("audit trail cannot be written; the service starts all the same", logging.ERROR, detail=str(error))
        self._thread = threading.Thread(target=self._writer.run, name="mkd-audit", daemon=True)
        self._thread.start()

    def on_verdict(self, verdict: Verdict, picture: Picture) -> None:
        """Put the record into the queue, or drop it where that is full."""
        entry = PendingRecord(
            picture.at, members_of(verdict, picture.context), picture.data, verdict.decision in self._kept
        )
        self._put(entry)

    def on_review(self, members: Mapping[str, object]) -> None:
        """Put the record of a person's judgement, or of its withdrawal, into the queue likewise."""
        self._put(PendingRecord(time.time(), members, kind="review"))

    def on_recalibration(self, members: Mapping[str, object]) -> None:
        """The same of a step of a recalibration."""
        self._put(PendingRecord(time.time(), members, kind="recalibration"))

    def _put(self, entry: PendingRecord) -> None:
        reason = self._writer.trouble or "queue"
        if not self._waiting.put(entry, reason):
            self._metrics.counter("mkd_audit_records_total", outcome="dropped").inc()
            if reason == "queue":  # else the disk's own failures are counted
                self._metrics.counter("mkd_audit_failures_total", reason=reason).inc()
        self._metrics.gauge("mkd_audit_queue").set(len(self._waiting))

    def stop(self) -> None:
        """Write what waits, for `STOP_S` at most."""
        self._waiting.close()
        self._writer.hurry()
        if self._thread is None:
            self._writer.close()
            return
        self._thread.join(STOP_S)
        if self._thread.is_alive():
            event("audit trail not written out in time", logging.ERROR, records=len(self._waiting))


def members_of(verdict: Verdict, context: InspectionContext) -> dict[str, object]:
    """What the record of a verdict says, but for its image."""
    given = {"caller": context.caller, "filename": verdict.name, "context": context.line.members()}
    ng, review = verdict.thresholds.ng, verdict.thresholds.review
    return {
        "request_id": context.request_id,
        "index": verdict.index,
        **{name: value for name, value in given.items() if value},
        "product": verdict.product,
        "artifact": {"version": verdict.version, "method": verdict.method, "hash": verdict.hash},
        "score": verdict.score,
        "p_value": verdict.p_value,
        "threshold": ng.value,
        "threshold_origin": ng.origin,
        "review_threshold": review.value if review is not None else None,
        "decision": verdict.decision,
        **({"decided_by": verdict.decided_by} if verdict.decided_by else {}),
        **({"group": verdict.group} if verdict.group else {}),
    }
