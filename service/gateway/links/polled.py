"""The gateway as a client of the PLC: reads the command, writes the result again and again, and reconnects by itself.

The libraries block, and some ignore the time-outs they are given. So each connection has a thread of its own, its
exchanges have a deadline here, and a connection that misses one is left behind with its thread and made anew: some
libraries give the late answer of one exchange to the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from pydantic import Field

from service import logs
from service.gateway.outputs_view import Outputs
from service.gateway.own_thread import OwnThread
from service.gateway.registers import WordOrder, decode, encode
from service.gateway.runner import StationRunner
from service.gateway.schema import LineSchema

VALID_BIT = 1 << 4
T = TypeVar("T")


class PlcPort(Protocol):
    """One connection to a PLC. Every method blocks and may raise whatever its library raises."""

    def open(self) -> None: ...

    def read(self) -> Sequence[int]:
        """The command's words."""
        ...

    def write(self, first: int, words: Sequence[int]) -> None:
        """Writes words of the result from word `first` on."""
        ...

    def close(self) -> None: ...


class PolledSettings(LineSchema):
    """What all clients of a PLC have in common."""

    poll_ms: float = Field(default=5, gt=0, le=1000, description="Pause between two exchanges, milliseconds.")
    exchange_ms: float = Field(
        default=500, gt=0, le=10000, description="An exchange that takes longer ends the connection, milliseconds."
    )
    word_order: WordOrder = Field(default="big", description="Which word of a value of 32 bits comes first.")


class PolledLink:
    """Keeps the words of one station alike on both sides. `port` makes a fresh connection."""

    def __init__(self, settings: PolledSettings, runner: StationRunner, port: Callable[[], PlcPort]) -> None:
        self._settings = settings
        self._runner = runner
        self._port = port
        self._changed = asyncio.Event()
        self._was_lost = False

    async def run(self) -> None:
        self._runner.display.listen(self._on_change)
        try:
            while True:
                await self._connection()
                await asyncio.sleep(max(0.1, self._settings.poll_ms / 1000))
        finally:
            self._runner.display.unlisten(self._on_change)

    def _on_change(self, _: Outputs) -> None:
        self._changed.set()

    async def _connection(self) -> None:
        """From open to the first failure."""
        port, worker = self._port(), OwnThread()
        try:
            await self._call(worker, port.open)
            await self._exchanges(worker, port)
        except Exception as error:
            if not self._was_lost:
                logs.event("plc is gone", logging.WARNING, station=self._runner.name, detail=repr(error)[:300])
            self._was_lost = True
            self._runner.lost()
        finally:
            with contextlib.suppress(Exception):
                # At an orderly stop the station shows its fail-safe value by now.
                await self._call(worker, lambda: self._write(port, self._words(), None))
            worker.end(port.close)

    async def _exchanges(self, worker: OwnThread, port: PlcPort) -> None:
        settings = self._settings
        written: list[int] | None = None
        while True:
            self._changed.clear()
            shown = self._runner.outputs()
            words = encode(shown, settings.word_order)
            if words != written:
                before = written
                await self._call(worker, lambda words=words, before=before: self._write(port, words, before))  # type: ignore[misc]
                written = words
                if shown.result_valid:
                    self._runner.delivered(shown.result)
            command = decode(await self._call(worker, port.read), settings.word_order)
            if self._was_lost:
                self._was_lost = False
                self._runner.metrics.count("mkd_line_reconnections_total", station=self._runner.name, peer="plc")
                logs.event("plc is back", station=self._runner.name)
            self._runner.sample(command)
            if not self._changed.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(settings.poll_ms / 1000):
                        await self._changed.wait()

    def _words(self) -> list[int]:
        return encode(self._runner.outputs(), self._settings.word_order)

    @staticmethod
    def _write(port: PlcPort, words: list[int], before: list[int] | None) -> None:
        """ResultValid is set after the words that it vouches for, and taken away before they change."""
        if before is not None and words[1:] == before[1:]:
            port.write(0, words[:1])
        elif words[0] & VALID_BIT:
            port.write(1, words[1:])
            port.write(0, words[:1])
        else:
            port.write(0, words[:1])
            port.write(1, words[1:])

    async def _call(self, worker: OwnThread, call: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(self._settings.exchange_ms / 1000):
                return await worker.run(call)
        except TimeoutError:
            raise TimeoutError(f"no answer within {self._settings.exchange_ms:g} ms") from None
