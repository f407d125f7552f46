"""What outputs have in common: answers go to the spool at once and to their receiver when it takes them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from pydantic import Field

from service import logs
from service.gateway.answer_text import answer_members
from service.gateway.codes import Code
from service.gateway.events import Answer
from service.gateway.metrics import LineMetrics
from service.gateway.outputs.spool import Message, Spool, SpoolError
from service.gateway.schema import LineSchema

BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
PROBE_AGAIN_S = 1.0


class OutputSettings(LineSchema):
    """What all outputs have in common."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$", description="Name in logs, metrics and of its spool."
    )
    spool_messages: int = Field(default=100_000, ge=1, description="Most messages kept; then the oldest are dropped.")


class Refused(Exception):
    """The receiver will never take this message: it is given up, logged and counted."""


class Delivery(Protocol):
    """Takes one message to its receiver."""

    async def start(self) -> None:
        """Called once, before the first message."""
        ...

    async def deliver(self, message: Message) -> None:
        """Returns when the receiver has it; raises Refused, or anything else for a later try."""
        ...

    async def close(self) -> None: ...


class SpooledOutput:
    """An observer of answers with a spool. `condition` is told DISK_FULL while the spool cannot be written."""

    def __init__(self, settings: OutputSettings, state_dir: Path, metrics: LineMetrics, delivery: Delivery) -> None:
        self.name = settings.name
        self._metrics = metrics
        self._delivery = delivery
        self._spool = Spool(state_dir / f"{settings.name}.sqlite", settings.spool_messages)
        self._wake = asyncio.Event()
        self._full = False
        self.condition: Callable[[Code | None], None] = lambda _: None
        for outcome in ("delivered", "failed", "refused", "lost"):
            metrics.count("mkd_line_messages_total", 0, output=self.name, outcome=outcome)
        self._count()

    def on_answer(self, station: str, answer: Answer) -> None:
        """Keeps the answer on the disk."""
        body = json.dumps(answer_members(station, answer)).encode()
        try:
            lost = self._spool.put(body)
        except SpoolError as error:
            lost = 1
            self._is_full(str(error))
        if lost:
            self._metrics.count("mkd_line_messages_total", lost, output=self.name, outcome="lost")
        self._count()
        self._wake.set()

    async def run(self) -> None:
        """Delivers until it is cancelled, oldest first; what fails is tried again with growing pauses."""
        tries = 0
        try:
            await self._delivery.start()
            while True:
                if self._full:
                    await self._probe()
                message = self._spool.after()
                if message is None:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                tries = 0 if await self._deliver(message) else tries + 1
                if tries:
                    await asyncio.sleep(BACK_OFF_S[min(tries, len(BACK_OFF_S)) - 1])
        finally:
            await self._delivery.close()
            self._spool.close()

    async def _deliver(self, message: Message) -> bool:
        try:
            await self._delivery.deliver(message)
            outcome = "delivered"
        except Refused as error:
            logs.event("message refused", logging.ERROR, output=self.name, number=message.id, detail=str(error)[:300])
            outcome = "refused"
        except Exception as error:
            logs.event("message failed", logging.WARNING, output=self.name, number=message.id, detail=repr(error)[:300])
            self._metrics.count("mkd_line_messages_total", output=self.name, outcome="failed")
            return False
        try:
            self._spool.remove(message.id)
        except SpoolError as error:
            self._is_full(str(error))
            return False
        self._metrics.count("mkd_line_messages_total", output=self.name, outcome=outcome)
        self._count()
        return True

    def _is_full(self, text: str) -> None:
        if not self._full:
            logs.event("spool cannot be written", logging.ERROR, output=self.name, detail=text)
        self._full = True
        self.condition(Code.DISK_FULL)
        self._wake.set()

    async def _probe(self) -> None:
        try:
            self._spool.probe()
        except SpoolError:
            await asyncio.sleep(PROBE_AGAIN_S)
            return
        self._full = False
        self.condition(None)
        logs.event("spool can be written again", output=self.name)

    def _count(self) -> None:
        self._metrics.set("mkd_line_spool_messages", len(self._spool), output=self.name)
