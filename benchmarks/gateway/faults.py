"""Triggers with faults at random through the real runner of the line gateway, and what each was answered by.

The PLC, the camera and the judge are simulated; a fault is drawn for each part by its weight, from a seed.
"""

from __future__ import annotations

import asyncio
import random

from benchmarks.gateway.peers import Camera, FaultyJudge
from benchmarks.gateway.plan import FAULTS, WINDOW_S, Bench
from service.gateway.handshake import Command
from service.gateway.metrics import LineMetrics
from service.gateway.runner import StationRunner
from service.gateway.station import Station


class Line:
    """One station with its PLC, which runs through its parts."""

    def __init__(self, bench: Bench, name: str) -> None:
        self._bench = bench
        self._name = name
        self._runs = 0

    async def begin(self) -> None:
        self._runs += 1
        machine = Station({"1": "bolt", "2": "tile"}, WINDOW_S)
        camera, judge = Camera(self._bench), FaultyJudge(self._bench)
        name = f"{self._name}-{self._runs}"
        self.runner = StationRunner(
            name, machine, camera, judge, LineMetrics(), run=name, observers=[self._bench], heartbeat_s=10
        )
        await self.runner.start(watch_service_s=0.01, watch_camera_s=0.01)
        self.runner.sample(Command())

    def put(self, number: int, recipe: str = "1", *, trigger: bool = False, acknowledge: bool = False) -> None:
        self.runner.sample(Command(trigger, acknowledge, recipe=recipe, trigger_id=number))

    async def part(self, number: int, extra: int) -> None:
        """One part; `extra` is the id of its second trigger where its fault is one."""
        bench, fault = self._bench, self._bench.fault[number]
        while not self.runner.outputs().ready:
            await asyncio.sleep(0.001)
        self.put(number, "9" if fault == "recipe unknown" else "1", trigger=True)
        self.put(number)
        await self._disturb(fault, number, extra)
        while not bench.answers[number]:
            await asyncio.sleep(0.0005)
        self.runner.delivered(self.runner.outputs().result)
        if fault == "acknowledgement lost":
            return
        for _ in range(2 if fault == "acknowledgement doubled" else 1):
            self.put(number, acknowledge=True)
            self.put(number)

    async def _disturb(self, fault: str, number: int, extra: int) -> None:
        if fault.startswith("second trigger"):
            while fault.endswith("judging") and not (self.runner.outputs().judging or self._bench.answers[number]):
                await asyncio.sleep(0)
            self.put(extra, trigger=True)
            if self._bench.answers[number]:  # its window was over by then: this trigger is of a part of its own
                self._bench.fault[extra] = "none"
            self.put(number)
        elif fault == "recipe changed in the cycle":
            self.put(number, "2")
        elif fault == "connection lost":
            self.runner.lost()
            self.runner.sample(Command(trigger_id=number))
        elif fault == "aborted":
            self.runner.abort()
        elif fault == "restart":
            await self.runner.stop()
            await self.begin()


async def faults(triggers: int, seed: int, stations: int = 4) -> Bench:
    """All triggers, spread over stations that work at the same time."""
    chance, bench = random.Random(seed), Bench()
    kinds, weights = list(FAULTS), list(FAULTS.values())
    plan: list[tuple[int, int]] = []
    number = 0
    while number < triggers:
        number += 1
        fault = chance.choices(kinds, weights)[0] if number < triggers else "none"
        bench.part(number, fault, chance.random() < 0.7)
        extra = 0
        if fault.startswith("second trigger"):
            number += 1
            extra = number
            bench.part(extra, "is the second trigger", True)
        plan.append((number - bool(extra), extra))

    async def work(name: int) -> None:
        line = Line(bench, f"station-{name}")
        await line.begin()
        for part, extra in plan[name::stations]:
            await line.part(part, extra)
        await line.runner.stop()

    await asyncio.gather(*(work(name) for name in range(stations)))
    return bench
