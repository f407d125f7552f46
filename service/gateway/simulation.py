"""A station with a simulated PLC, camera and judge, and what went over its signals: for `mkd-line simulate`."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from service.gateway.codes import Code
from service.gateway.events import Acquire
from service.gateway.handshake import Command
from service.gateway.judge import GatewayVerdict, Ids
from service.gateway.metrics import LineMetrics
from service.gateway.outputs_view import Outputs
from service.gateway.picture import Picture
from service.gateway.runner import StationRunner
from service.gateway.station import Station

PICTURE_S, VERDICT_S = 0.03, 0.04
SIGNALS = ("Trigger", "Acknowledge", "Ready", "TriggerAck", "Acquiring", "Judging", "ResultValid", "OK", "NG", "Fault")


@dataclass
class Trace:
    """Levels of all signals over time. `levels` has a row for each change: seconds, then 0 or 1 by `SIGNALS`."""

    levels: list[tuple[float, dict[str, int]]] = field(default_factory=list)
    notes: list[tuple[float, str]] = field(default_factory=list)
    _started: float = field(default_factory=time.monotonic)

    def now(self) -> float:
        return time.monotonic() - self._started

    def add(self, command: Command, shown: Outputs) -> None:
        bits = (
            command.trigger,
            command.acknowledge,
            shown.ready,
            shown.trigger_seen,
            shown.acquiring,
            shown.judging,
            shown.result_valid,
            shown.ok,
            shown.ng,
            shown.fault,
        )
        self.levels.append((self.now(), {name: int(bit) for name, bit in zip(SIGNALS, bits, strict=True)}))


class SimulatedCamera:
    """A picture after PICTURE_S."""

    async def open(self) -> None:
        """Always there."""

    async def acquire(self, order: Acquire) -> Picture:
        await asyncio.sleep(PICTURE_S)
        return Picture(str(order.request.trigger_id).encode())

    async def check(self) -> None:
        """Always well."""

    async def close(self) -> None:
        """Nothing is open."""


class SimulatedJudge:
    """Part 1 is good, part 2 bad, part 3 is never answered."""

    async def judge(self, picture: Picture, product: str, deadline: float, ids: Ids) -> GatewayVerdict:
        await asyncio.sleep(VERDICT_S if ids.trigger_id != 3 else 3600)
        bad = ids.trigger_id == 2
        return GatewayVerdict(product, "NG" if bad else "OK", 3.0 if bad else 1.0, 2.0)

    async def ready(self) -> Code | None:
        return None

    async def close(self) -> None:
        """Nothing is open."""


async def simulate(window_s: float) -> Trace:
    """Three parts: good, bad, and one whose verdict never comes; a trigger too many beside the second."""
    runner = StationRunner(
        "simulated",
        Station({"1": "part"}, window_s),
        SimulatedCamera(),
        SimulatedJudge(),
        LineMetrics(),
        run="simulate",
    )
    trace, plc = Trace(), SimulatedPlc(runner)
    runner.display.listen(lambda shown: trace.add(plc.command, shown))
    plc.trace = trace
    await runner.start()
    plc.put()
    await asyncio.sleep(0.02)
    for part in (1, 2, 3):
        await plc.inspect(part, twice=part == 2)
    await asyncio.sleep(0.02)
    await runner.stop()
    trace.add(plc.command, runner.outputs())
    await asyncio.sleep(0.02)
    trace.add(plc.command, runner.outputs())  # else the last level would have no length in the diagram
    return trace


class SimulatedPlc:
    """Holds the levels of the command, as a PLC's program does."""

    def __init__(self, runner: StationRunner) -> None:
        self.command = Command()
        self.trace: Trace | None = None
        self._runner = runner

    def put(self, *, trigger: bool = False, acknowledge: bool = False, number: int = 0) -> None:
        self.command = Command(trigger, acknowledge, recipe="1", trigger_id=number)
        self._runner.sample(self.command)
        if self.trace is not None:
            self.trace.add(self.command, self._runner.outputs())

    async def inspect(self, number: int, *, twice: bool) -> None:
        """One part from its trigger to its acknowledgement."""
        self.put(trigger=True, number=number)
        await asyncio.sleep(0.01)
        self.put(number=number)
        if twice:
            await asyncio.sleep(PICTURE_S)
            self.put(trigger=True, number=90 + number)
            self._note(f"trigger {90 + number} refused, code {int(self._runner.outputs().refused_code)}")
            await asyncio.sleep(0.01)
            self.put(number=90 + number)
        while not (shown := self._runner.outputs()).result_valid:
            await asyncio.sleep(0.001)
        assert shown.decision is not None
        self._note(f"part {number}: {shown.decision.value}, code {int(shown.code)}")
        self._runner.delivered(shown.result)
        await asyncio.sleep(0.01)
        self.put(acknowledge=True, number=number)
        await asyncio.sleep(0.01)
        self.put(number=number)
        await asyncio.sleep(0.01)

    def _note(self, text: str) -> None:
        if self.trace is not None:
            self.trace.notes.append((self.trace.now(), text))
