"""The gateway's own audit trail: a record of every answer to a trigger, in a chain that mkd-audit verifies.

It has what the service cannot know: the station, the PLC's trigger id, and what was answered, REJECT included. An
answer that was withdrawn has a second record with the same cycle; the last one counts. While the chain cannot be
written the records wait and no station is ready.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from prometheus_client import generate_latest

from models.version import service_version
from service import logs
from service.audit.chain import ChainLimits
from service.audit.pending import PendingRecord, PendingRecords
from service.audit.writer import Writer, WriterSettings
from service.gateway.codes import Code
from service.gateway.events import Answer
from service.metrics import METRICS, Metrics

MOST_WAITING_BYTES = 64 << 20
LOOK_EVERY_S = 0.2
STOP_S = 10.0
SERIES = tuple(spec.name for spec in METRICS if spec.name.startswith("mkd_audit_"))


class AnswerTrail:
    """An observer of answers. `condition` is told DISK_FULL while nothing can be written; `run_id` tells runs apart."""

    name = "audit"

    def __init__(self, folder: Path, keep_days: int, run_id: str) -> None:
        self.condition: Callable[[Code | None], None] = lambda _: None
        self._run_id = run_id
        self._metrics = Metrics()
        self._waiting = PendingRecords(MOST_WAITING_BYTES)
        written = WriterSettings(folder, ChainLimits(keep_days=keep_days), version=service_version())
        self._writer = Writer(written, self._waiting, self._metrics)
        self._is_told = False

    def on_answer(self, station: str, answer: Answer) -> None:
        """Puts the record into the writer's queue."""
        record = PendingRecord(time.time(), members_of(station, answer, self._run_id), kind="answer")
        if not self._waiting.put(record, self._writer.trouble or "queue"):
            self._metrics.counter("mkd_audit_records_total", outcome="dropped").inc()

    async def run(self) -> None:
        """Writes until it is cancelled, and then what waits."""
        thread = threading.Thread(target=self._writer.run, name="mkd-audit", daemon=True)
        thread.start()
        try:
            while True:
                self._tell()
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            self._waiting.close()
            self._writer.hurry()
            await asyncio.to_thread(thread.join, STOP_S)
            if thread.is_alive():
                logs.event("audit trail not written out in time", logging.ERROR, records=len(self._waiting))

    def render(self) -> bytes:
        """The trail's metrics, by the names that the service gives them."""
        return generate_latest(self._metrics.registry.restricted_registry(SERIES))

    def _tell(self) -> None:
        is_in_trouble = self._writer.trouble is not None
        if is_in_trouble != self._is_told:
            self._is_told = is_in_trouble
            self.condition(Code.DISK_FULL if is_in_trouble else None)


def members_of(station: str, answer: Answer, run_id: str) -> dict[str, object]:
    """What the record of an answer says; where a verdict's record has the same, under the same name."""
    context = {"station": station, **({"part_id": answer.part_id} if answer.part_id else {})}
    artifact = {"version": answer.version, "method": answer.method, "hash": answer.artifact}
    return {
        "request_id": answer.request_id,
        "context": context,
        "trigger_id": answer.trigger_id,
        "run": run_id,
        "cycle": answer.cycle,
        "recipe": answer.recipe,
        "product": answer.product,
        **({"artifact": artifact} if answer.artifact else {}),
        "score": answer.score,
        "threshold": answer.threshold,
        "decision": answer.decision.value,
        "code": int(answer.code),
        "code_name": answer.code.name.lower(),
        "seconds": round(answer.seconds, 6),
    }
