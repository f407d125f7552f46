"""The feedback store of one process: opens the database when it can, and keeps count of what cannot be stored.

Used by the writing thread; `service.feedback.access` is what surfaces ask. A failure is counted each time, logged once,
and leaves the store closed, so that the next try opens it anew.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from service.feedback.pictures import PictureFolder
from service.feedback.settings import FeedbackSettings
from service.logs import event
from service.metrics import Metrics
from service.picture_kind import kind_of

if TYPE_CHECKING:
    from service.feedback.database import Database

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
NOT_OPEN = "it has not been opened yet"
RETENTION_EVERY_S = 60.0
RETENTION_SHARE = 0.02  # of the bytes to keep, after which retention looks in any case
ORPHANS_EVERY_S = 86_400.0


class FeedbackStore:
    """See the module. `trouble` says in words why nothing can be stored at present, None where it can."""

    def __init__(self, settings: FeedbackSettings, metrics: Metrics) -> None:
        self.settings = settings
        self.pictures = PictureFolder(settings.folder)
        self.trouble: str | None = NOT_OPEN
        self._metrics = metrics
        self._database: Database | None = None
        self._logged: str | None = None
        self._picture_trouble = False
        self._kept_since = 0  # bytes of pictures since retention looked last
        self._looked_for_old = -RETENTION_EVERY_S
        self._looked_for_orphans = -ORPHANS_EVERY_S

    @property
    def folder(self) -> Path:
        """Where pictures are, and what else all processes of the store share."""
        return self.settings.folder

    @property
    def database(self) -> Database | None:
        """The open database; None where it cannot be used at present."""
        return self._database

    def open(self) -> Database:
        """The database, opened where it is not. Raises DatabaseFaultError."""
        from service.feedback.database import Database

        if self._database is not None and self._database.is_gone():
            event("the feedback database was taken away; another one is begun", logging.ERROR)
            self.close()
        if self._database is None:
            self._database = Database(self.settings)
        return self._database

    def close(self) -> None:
        """Give the database's connections back."""
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def attempt(self, work: Callable[[], object]) -> bool:
        """Whether the work could be done; what keeps it from being done is counted, and logged once."""
        from service.feedback.database import DatabaseFaultError

        try:
            work()
        except DatabaseFaultError as error:
            self._failed("disk_full" if error.is_full else "database", str(error))
            return False
        except Exception:
            logging.getLogger("mkdserve").exception("feedback store: unexpected fault")
            self._failed("fault", "the service has a fault; it is logged")
            return False
        if self._logged is not None:
            event("verdicts are stored again")
        self.trouble = self._logged = None
        self._metrics.gauge("mkd_feedback_available").set(1)
        return True

    def add(self, rows: Sequence[dict[str, object]]) -> None:
        """Store verdicts in one transaction. Raises DatabaseFaultError; nothing is stored then.

        A row that the database refuses for what is in it is dropped and counted, and the others are stored.
        """
        from service.feedback.verdicts import insert

        dropped = insert(self.open(), rows)
        self._metrics.counter("mkd_feedback_verdicts_total", outcome="stored").inc(len(rows) - dropped)
        if dropped:
            self._metrics.counter("mkd_feedback_verdicts_total", outcome="dropped").inc(dropped)
            self._metrics.counter("mkd_feedback_failures_total", reason="fault").inc(dropped)

    def keep_picture(self, data: bytes, at: float) -> dict[str, object]:
        """Write a picture, where there is one; the columns that tell of it. A disk that fails costs the picture."""
        if not data:
            return {}
        try:
            name = self.pictures.keep(data, at)
        except OSError as error:
            self._metrics.counter("mkd_feedback_failures_total", reason="picture").inc()
            if not self._picture_trouble:
                where = f"{error.filename}: {error.strerror or error}"
                event("pictures are not kept; verdicts are stored without", logging.ERROR, reason=where)
            self._picture_trouble = True
            return {}
        self._picture_trouble = False
        self._kept_since += len(data)
        return {"picture_file": name, "picture_type": kind_of(data)[1], "picture_bytes": len(data)}

    def upkeep(self) -> None:
        """What is due beside storing: to open the store where it is not, and retention. Raises DatabaseFaultError."""
        database = self.open()
        now = time.monotonic()
        much = self.settings.keep_bytes and self._kept_since >= self.settings.keep_bytes * RETENTION_SHARE
        if much or now - self._looked_for_old >= RETENTION_EVERY_S:
            self._looked_for_old, self._kept_since = now, 0
            self._remove_old(database)
        if now - self._looked_for_orphans >= ORPHANS_EVERY_S:
            self._looked_for_orphans = now
            self._remove_orphans(database)

    def _remove_old(self, database: Database) -> None:
        from service.feedback.retention import keep_within_bounds

        removed = keep_within_bounds(database, self.pictures, self.settings, time.time())
        for reason, count in removed.pictures.items():
            self._metrics.counter("mkd_feedback_pictures_removed_total", reason=reason).inc(count)
        self._metrics.gauge("mkd_feedback_picture_bytes").set(removed.picture_bytes)
        self._metrics.gauge("mkd_reviews_waiting").set(removed.waiting)
        if removed.anything:
            event("feedback retention", logging.INFO, pictures=removed.pictures, verdicts=removed.verdicts)

    def _remove_orphans(self, database: Database) -> None:
        from service.feedback.retention import remove_orphans

        if count := remove_orphans(database, self.pictures, time.time()):
            event("pictures without a verdict removed", logging.INFO, pictures=count)

    def _failed(self, reason: str, text: str) -> None:
        self._metrics.counter("mkd_feedback_failures_total", reason=reason).inc()
        self._metrics.gauge("mkd_feedback_available").set(0)
        if self._logged != reason:
            event("verdicts are not stored; they are given all the same", logging.ERROR, reason=reason, detail=text)
        self.trouble, self._logged = text, reason
        self.close()
