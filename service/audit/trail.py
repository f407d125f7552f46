"""In: every verdict, as an observer sees it. Out: one record each on its way to the chain, at once and without fail."""

from __future__ import annotations

import errno
import logging
import threading
from typing import Literal

from service.audit.chain import ChainLimits
from service.audit.pending import Entry, Waiting
from service.audit.writer import Writer, WriterSettings
from service.errors import NotReady
from service.inspection.observers import Seen
from service.logs import event
from service.metrics import Metrics
from service.run.settings import MIB, Settings

STOP_S = 10.0  # for what waits to get to the disk
# What a person has to mend before the service starts; a disk that is full or ill may mend while parts are inspected.
WRONG_PLACE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ELOOP})

Images = Literal["none", "ng", "ng+review"]
KEPT_DECISIONS: dict[Images, frozenset[str]] = {
    "none": frozenset(),
    "ng": frozenset({"NG"}),
    "ng+review": frozenset({"NG", "REVIEW"}),
}


class AuditTrail:
    """The observer that records. `images` says which images are kept as well."""

    name = "audit"

    def __init__(self, settings: WriterSettings, metrics: Metrics, *, images: Images, max_waiting_bytes: int) -> None:
        self._folder = settings.folder
        self._metrics = metrics
        self._kept = KEPT_DECISIONS[images]
        self._waiting = Waiting(max_waiting_bytes)
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

    def on_verdict(self, seen: Seen) -> None:
        """Put the record into the queue, or drop it where that is full."""
        entry = Entry(seen.at, members_of(seen), seen.data, seen.verdict.decision in self._kept)
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


def members_of(seen: Seen) -> dict[str, object]:
    """What the record of a verdict says, but for its image."""
    verdict, record = seen.verdict, seen.record
    given = {"caller": record.caller, "filename": verdict.filename, "context": dict(record.context)}
    return {
        "request_id": record.request_id,
        "index": verdict.index,
        **{name: value for name, value in given.items() if value},
        "product": verdict.product,
        "artifact": verdict.artifact.model_dump(),
        "score": verdict.score,
        "p_value": verdict.p_value,
        "threshold": verdict.threshold,
        "threshold_origin": verdict.threshold_origin,
        "review_threshold": verdict.review_threshold,
        "decision": verdict.decision,
    }


def audit_trail(settings: Settings, metrics: Metrics, version: str) -> AuditTrail | None:
    """The trail that the settings ask for. Bounds on the disk are shared out among the processes."""
    if settings.audit_folder is None:
        return None
    share = settings.processes
    limits = ChainLimits(
        file_bytes=settings.audit_file_mb * MIB,
        keep_days=settings.audit_keep_days,
        keep_bytes=settings.audit_keep_mb * MIB // share,
    )
    written = WriterSettings(
        folder=settings.audit_folder,
        limits=limits,
        image_bytes=settings.audit_images_mb * MIB // share,
        sync_s=settings.audit_sync_s,
        version=version,
    )
    return AuditTrail(written, metrics, images=settings.audit_images, max_waiting_bytes=settings.audit_queue_mb * MIB)
