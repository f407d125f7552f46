"""The thread that writes pending records to the chain on disk; a bad disk delays it and never ends it.

A write that fails is tried again every `RETRY_S`, with the same record, so that order and chain stay whole; meanwhile
the queue fills, and what finds no room there is dropped and becomes a gap in the chain. The same at the stop: one more
try, then what is left is given up, counted and logged.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from service.audit.chain import Chain, ChainLimits, ending
from service.audit.images import ImageStore
from service.audit.pending import Gap, PendingRecord, PendingRecords
from service.logs import event
from service.metrics import Metrics

RETRY_S = 1.0
LOOK_EVERY_S = 5.0  # while nothing is to be written
HEAD_EVERY_S = 60.0
RETENTION_EVERY_S = 3600.0
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True)
class WriterSettings:
    """Where and how the trail is written; `sync_s` is how much of it a power cut may cost, 0 for none."""

    folder: Path
    limits: ChainLimits = field(default_factory=ChainLimits)
    image_bytes: int = 0
    sync_s: float = 1.0
    version: str = "unknown"  # of the service, for the record of its start


class Writer:
    """The writing thread of one process."""

    def __init__(
        self,
        settings: WriterSettings,
        waiting: PendingRecords,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.trouble: str | None = None  # why nothing can be written at present
        self._settings = settings
        self._waiting = waiting
        self._metrics = metrics
        self._clock = clock
        self._chain: Chain | None = None
        self._images: ImageStore | None = None
        self._hurry = threading.Event()
        self._given_up = 0
        self._jump = 0.0
        self._synced_at = time.monotonic()
        self._head_said: tuple[float, int] = (time.monotonic(), 0)
        self._looked_for_old: tuple[float, int] = (-RETENTION_EVERY_S, -1)

    def open(self) -> None:
        """Take a chain and record the start. Raises OSError; the thread tries again then."""
        if self._chain is None:
            self._chain = Chain(self._settings.folder, self._settings.limits)
            self._images = ImageStore(self._chain.folder, self._settings.image_bytes)
            try:
                self._look_at_clock(self._chain)
                self._chain.append("start", self._clock(), self._start_members(self._chain))
            except OSError:
                self._chain.close()
                self._chain = None
                raise
            self._say_head(self._chain)

    def run(self) -> None:
        """Until the queue is closed and written, or given up."""
        while True:
            is_last = self._waiting.is_closed
            item = self._waiting.take(self._pause())
            if item is not None:
                self._record(item)
            self._attempt(self._upkeep)
            if item is None and is_last:
                break
        self._attempt(self._end)

    def hurry(self) -> None:
        """Do not wait for a disk that fails; called at the stop."""
        self._hurry.set()

    def _record(self, item: PendingRecord | Gap) -> None:
        """Write it, however long that takes; at the stop, give up with all that waits behind it."""
        while not self._attempt(partial(self._write, item)):
            if self.trouble == "fault":  # of ours, with this one item: it would come again
                if isinstance(item, Gap):
                    return
                self._metrics.counter("mkd_audit_records_total", outcome="dropped").inc()
                item = Gap(item.at, item.at, Counter(fault=1))
            elif self._waiting.is_closed:
                self._give_up(item)
                return
            else:
                self._hurry.wait(RETRY_S)

    def _give_up(self, item: PendingRecord | Gap) -> None:
        """This one and all behind it; the record of the stop says how many, where that at least can be written."""
        entries, untold = self._waiting.clear()
        entries += isinstance(item, PendingRecord)
        self._given_up = entries + untold + (item.lost if isinstance(item, Gap) else 0)
        self._metrics.counter("mkd_audit_records_total", outcome="dropped").inc(entries)
        event("audit records given up at the stop", logging.ERROR, records=self._given_up, reason=self.trouble)

    def _attempt(self, work: Callable[[], None]) -> bool:
        """Whether the work could be done; what keeps it from being done is counted, and logged once."""
        try:
            work()
        except OSError as error:
            where = error.filename or self._settings.folder  # a full disk names no path by itself
            self._failed("disk_full" if error.errno in NO_ROOM else "disk_error", f"{where}: {error.strerror or error}")
            return False
        except Exception:
            logging.getLogger("mkdserve").exception("audit trail: unexpected fault")
            self._failed("fault", "see the traceback")
            return False
        if self.trouble is not None:
            event("audit trail is written again")
            self.trouble = None
        return True

    def _failed(self, reason: str, text: str) -> None:
        self._metrics.counter("mkd_audit_failures_total", reason=reason).inc()
        if self.trouble != reason:
            event("audit trail cannot be written; verdicts go on", logging.ERROR, reason=reason, detail=text)
        self.trouble = reason

    def _write(self, item: PendingRecord | Gap) -> None:
        self.open()
        assert self._chain is not None
        if isinstance(item, Gap):
            self._chain.append("gap", self._clock(), item.members())
        else:
            image = self._image(item) if item.kind == "verdict" else {}
            self._chain.append(item.kind, item.at, {**item.members, **image})
            self._metrics.counter("mkd_audit_records_total", outcome="written").inc()
        self._metrics.gauge("mkd_audit_queue").set(len(self._waiting))

    def _image(self, item: PendingRecord) -> dict[str, object]:
        """What the record of a verdict says of its image, which is kept where that is wanted and works."""
        digest = hashlib.sha256(item.data).hexdigest()
        image: dict[str, object] = {"image_sha256": digest, "image_bytes": len(item.data)}
        if item.keep and (kept := self._keep(item, digest)) is not None:
            image["image_file"] = kept
        return image

    def _keep(self, entry: PendingRecord, digest: str) -> str | None:
        """The image itself, where that works; its record is written in any case."""
        assert self._images is not None
        try:
            return self._images.keep(entry.data, digest, entry.at)
        except OSError as error:
            self._metrics.counter("mkd_audit_failures_total", reason="image").inc()
            logging.getLogger("mkdserve").debug("an image was not kept: %s", error)
            return None

    def _upkeep(self) -> None:
        """Sync, say where the chain stands, remove what is old: each when it is due."""
        chain = self._chain
        if chain is None:
            self.open()
            return
        now = time.monotonic()
        if not chain.is_synced and now - self._synced_at >= self._settings.sync_s:
            self._synced_at = now
            chain.sync()
        if chain.seq != self._head_said[1] and now - self._head_said[0] >= HEAD_EVERY_S:
            self._say_head(chain)
        if (chain.files_begun != self._looked_for_old[1]) or now - self._looked_for_old[0] >= RETENTION_EVERY_S:
            self._looked_for_old = (now, chain.files_begun)
            self._look_at_clock(chain)
            self._remove_old(chain)

    def _look_at_clock(self, chain: Chain) -> None:
        """Tell of a clock that has left the chain's time; retention by days does not follow it."""
        jump = chain.clock_jump(self._clock())
        self._metrics.gauge("mkd_audit_clock_jump_seconds").set(jump)
        if jump and jump != self._jump:
            event("audit clock jumped; no record counts as older for it", logging.ERROR, seconds=round(jump))
        self._jump = jump

    def _remove_old(self, chain: Chain) -> None:
        now = self._clock()
        kept = chain.kept(now)  # before files go: what the chain's time is counted by
        removed = chain.remove_old(now)
        assert self._images is not None
        images = self._images.remove_before(kept.since) if kept is not None else 0
        if removed or images:
            event("audit retention", files=removed, images=images)

    def _say_head(self, chain: Chain) -> None:
        """The head outside the audit folder: whoever collects the log can validate by it that nothing is missing.

        Only what a power cut cannot take back is said.
        """
        chain.sync()
        self._head_said = (time.monotonic(), chain.seq)
        self._metrics.gauge("mkd_audit_head", chain=chain.name).set(chain.seq)
        event("audit head", chain=chain.name, seq=chain.seq, hash=chain.head)

    def close(self) -> None:
        """Let go of the chain; only where the thread never ran."""
        self._attempt(self._end)

    def _end(self) -> None:
        if self._chain is None:
            return
        self._chain.append("stop", self._clock(), {"lost": self._given_up} if self._given_up else {})
        self._say_head(self._chain)
        self._chain.close()
        self._chain = None
        self._metrics.gauge("mkd_audit_queue").set(0)

    def _pause(self) -> float:
        if self._chain is None:
            return RETRY_S
        return LOOK_EVERY_S if self._chain.is_synced else min(self._settings.sync_s, LOOK_EVERY_S)

    def _start_members(self, chain: Chain) -> dict[str, object]:
        left = chain.left_as
        members: dict[str, object] = {
            "service": self._settings.version,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "after": ending(left),
        }
        return members | {
            name: count
            for name, count in (("torn_bytes", left.torn_bytes), ("damaged_lines", left.damaged_lines))
            if count
        }
