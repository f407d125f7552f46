"""The line gateway by itself: 10,000 triggers with faults at random, and its own share of a cycle over loopback.

    python -m benchmarks.gateway_cycle [--triggers N] [--seed S] [--only faults|cycle]

The faults go through the real runner with a simulated PLC, camera and judge. Printed are the table of docs/line.md and
the medians. The cycle's time is from the write of the trigger to the read of the result, by a client in another
process, around a camera and a judge that take no time. The same messages around a request that starts nothing are
measured beside it; what the cycle takes more is the gateway's own share.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import random
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from benchmarks.harness.service_process import free_port
from service import logs
from service.gateway.codes import Code
from service.gateway.events import Acquire, Answer, Decision
from service.gateway.handshake import Command
from service.gateway.judge import GatewayVerdict, Ids, JudgeError
from service.gateway.links.modbus_server import ModbusServerSettings
from service.gateway.links.opcua_server import OpcUaServerSettings
from service.gateway.metrics import LineMetrics
from service.gateway.picture import Picture, PictureError
from service.gateway.runner import StationRunner
from service.gateway.station import Station

WINDOW_S = 0.1
FAULTS = {
    "none": 60,
    "picture late": 2,
    "camera lost": 2,
    "picture of another trigger": 2,
    "verdict late": 2,
    "429": 2,
    "503": 2,
    "504": 2,
    "service unreachable": 2,
    "score not a number": 2,
    "verdict of another product": 2,
    "verdict contradicts its score": 2,
    "second trigger while acquiring": 3,
    "second trigger while judging": 3,
    "connection lost": 3,
    "acknowledgement lost": 3,
    "acknowledgement doubled": 3,
    "recipe unknown": 2,
    "recipe changed in the cycle": 2,
    "aborted": 2,
    "restart": 1,
}
JUDGE_CODES = {"429": Code.SERVICE_OVERLOADED, "503": Code.SERVICE_NOT_READY, "504": Code.SERVICE_DEADLINE}
MAY_BE_OK = {
    "none",
    "second trigger while judging",
    "acknowledgement lost",
    "acknowledgement doubled",
    "recipe changed in the cycle",
}


class Bench:
    """What is true of each part, by trigger id, and what was answered."""

    def __init__(self) -> None:
        self.fault: dict[int, str] = {}
        self.is_good: dict[int, bool] = {}
        self.answers: dict[int, list[Answer]] = {}
        self.withdrawn = 0
        self._cycles: set[tuple[str, int]] = set()

    def part(self, number: int, fault: str, is_good: bool) -> None:
        self.fault[number], self.is_good[number], self.answers[number] = fault, is_good, []

    def on_answer(self, station: str, answer: Answer) -> None:
        if (station, answer.cycle) in self._cycles:
            self.withdrawn += 1
        else:
            self._cycles.add((station, answer.cycle))
            self.answers[answer.trigger_id].append(answer)

    def wrong_oks(self) -> int:
        """OKs of bad parts, and of parts whose fault forbids one."""
        oks = [answer for all_ in self.answers.values() for answer in all_ if answer.decision is Decision.OK]
        return sum(not self.is_good[one.trigger_id] or self.fault[one.trigger_id] not in MAY_BE_OK for one in oks)

    def late(self) -> int:
        """Judged answers after the window."""
        every = [answer for all_ in self.answers.values() for answer in all_]
        return sum(one.seconds >= WINDOW_S for one in every if one.decision is not Decision.REJECT)


class Camera:
    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    async def open(self) -> None:
        """Always there."""

    async def acquire(self, order: Acquire) -> Picture:
        fault = self._bench.fault[order.request.trigger_id]
        await asyncio.sleep(3600 if fault == "picture late" else 0.002)
        if fault == "camera lost":
            raise PictureError(Code.CAMERA_LOST, fault)
        if fault == "picture of another trigger":
            raise PictureError(Code.PICTURE_NOT_OF_TRIGGER, fault)
        return Picture(str(order.request.trigger_id).encode())

    async def check(self) -> None:
        """Always well."""

    async def close(self) -> None:
        """Nothing is open."""


class FaultyJudge:
    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    async def judge(self, picture: Picture, product: str, deadline: float, ids: Ids) -> GatewayVerdict:
        number = int(picture.data)
        fault, good = self._bench.fault[number], self._bench.is_good[number]
        await asyncio.sleep(3600 if fault == "verdict late" else 0.002)
        if fault in JUDGE_CODES:
            raise JudgeError(JUDGE_CODES[fault], fault)
        if fault == "service unreachable":
            raise JudgeError(Code.SERVICE_UNREACHABLE, fault)
        score = 1.0 if good else 3.0
        if fault == "score not a number":
            return GatewayVerdict(product, "OK", float("nan"), 2.0)
        if fault == "verdict contradicts its score":
            return GatewayVerdict(product, "OK", 3.0, 2.0)
        if fault == "verdict of another product":
            return GatewayVerdict("another", "OK", 1.0, 2.0)
        return GatewayVerdict(product, "OK" if good else "NG", score, 2.0)

    async def ready(self) -> Code | None:
        return None

    async def close(self) -> None:
        """Nothing is open."""


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


def table(bench: Bench) -> str:
    """What each fault was answered by, in Markdown."""
    rows: dict[str, Counter[str]] = {}
    for number, answers in bench.answers.items():
        for answer in answers:
            word = answer.decision.value if answer.code is Code.JUDGED else f"REJECT {int(answer.code)}"
            rows.setdefault(bench.fault[number], Counter())[word] += 1
    lines = ["| Fault | Triggers | Answers |", "|---|---|---|"]
    for fault in [*FAULTS, "is the second trigger"]:
        said = rows.get(fault, Counter())
        words = ", ".join(f"{count:,} {word}" for word, count in sorted(said.items()))
        lines.append(f"| {fault} | {said.total():,} | {words} |")
    return "\n".join(lines)


class InstantJudge:
    async def judge(self, picture: Picture, product: str, deadline: float, ids: Ids) -> GatewayVerdict:
        return GatewayVerdict(product, "OK", 1.0, 2.0)

    async def ready(self) -> Code | None:
        return None

    async def close(self) -> None:
        """Nothing is open."""


class InstantCamera(Camera):
    async def acquire(self, order: Acquire) -> Picture:
        return Picture(b"picture")


def serve(kind: str, port: int) -> None:
    """A gateway of one station, until it is killed."""
    settings = LINKS[kind](port)
    logs.configure("error")

    async def work() -> None:
        machine = Station({"1": "bolt"}, 1.0)
        runner = StationRunner("press", machine, InstantCamera(Bench()), InstantJudge(), LineMetrics(), run="bench")
        await runner.start()
        await settings.link(runner).run()

    asyncio.run(work())


LINKS: dict[str, Callable[[int], ModbusServerSettings | OpcUaServerSettings]] = {
    "modbus_server": lambda port: ModbusServerSettings(kind="modbus_server", port=port),
    "opcua_server": lambda port: OpcUaServerSettings(kind="opcua_server", port=port, anonymous="write"),
}


async def modbus_cycles(port: int, count: int) -> Times:
    from pymodbus.client import AsyncModbusTcpClient

    client = AsyncModbusTcpClient("127.0.0.1", port=port)
    await client.connect()
    await client.write_registers(0, [0] * 8)
    times = Times()
    for number in range(1, count + 1):
        ready = False
        while not ready:
            ready = bool((await client.read_holding_registers(100, count=1)).registers[0] & 1)
        started = time.perf_counter()
        await client.write_registers(0, [0, 0, 1, 0, 0, number, 0, 0])
        await client.read_holding_registers(100, count=24)
        triggered = time.perf_counter()
        await client.write_registers(0, [1, 0, 1, 0, 0, number, 0, 0])
        words: Sequence[int] = [0] * 24
        while not (words[0] & 16 and words[5] == number):
            words = (await client.read_holding_registers(100, count=24)).registers
        times.add(started, triggered)
        assert words[0] & 32, words
        await client.write_registers(0, [2, 0, 1, 0, 0, number, 0, 0])
        await client.write_registers(0, [0, 0, 1, 0, 0, number, 0, 0])
    client.close()
    return times


async def opcua_cycles(port: int, count: int) -> Times:
    asyncua: Any = importlib.import_module("asyncua")  # its types are stricter than its functions

    times = Times()
    async with asyncua.Client(f"opc.tcp://127.0.0.1:{port}/mkd/press") as client:
        station, result = client.get_node("ns=2;s=press"), client.get_node("ns=2;s=press.Result.ResultId")
        start, select = asyncua.ua.NodeId("press.StartSingleJob", 2), asyncua.ua.NodeId("press.SelectRecipe", 2)
        for number in range(1, count + 1):
            started = time.perf_counter()
            await station.call_method(select, "1")
            await result.read_value()
            triggered = time.perf_counter()
            await station.call_method(start, str(number), "1")
            while await result.read_value() != number:
                pass
            times.add(started, triggered)
    return times


class Times:
    """Seconds of each cycle, and of the same messages around a request that does nothing."""

    def __init__(self) -> None:
        self.bare: list[float] = []
        self.cycle: list[float] = []

    def add(self, started: float, triggered: float) -> None:
        self.bare.append(triggered - started)
        self.cycle.append(time.perf_counter() - triggered)


def cycle(kind: str, ask: Callable[[int, int], Awaitable[Times]], count: int = 500) -> None:
    """Prints the time of a cycle by one protocol."""
    port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "benchmarks.gateway_cycle", "--serve", kind, str(port)])
    try:
        wait_until_open(port)

        async def measure() -> Times:
            return await ask(port, count)

        times = asyncio.run(measure())
    finally:
        server.kill()
        server.wait()
    cycle_ms, bare_ms = (1000 * statistics.median(one) for one in (times.cycle, times.bare))
    print(f"{kind}: median cycle {cycle_ms:.2f} ms, of which {bare_ms:.2f} ms are the bare messages; ", end="")
    print(f"the gateway's own share {cycle_ms - bare_ms:.2f} ms ({count} cycles)")


def wait_until_open(port: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"nothing listens on port {port}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--triggers", type=int, default=10_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", choices=["faults", "cycle"])
    options.add_argument("--serve", nargs=2, metavar=("KIND", "PORT"), help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.serve:
        serve(given.serve[0], int(given.serve[1]))
        return
    logs.configure("critical")
    if given.only != "cycle":
        bench = asyncio.run(faults(given.triggers, given.seed))
        answers = sum(len(all_) for all_ in bench.answers.values())
        once = all(len(all_) == 1 for all_ in bench.answers.values())
        print(table(bench))
        print(f"triggers {len(bench.fault):,}, answers {answers:,} (each exactly one: {once}), ", end="")
        print(f"wrong OKs {bench.wrong_oks()}, judged after the window {bench.late()}, withdrawn {bench.withdrawn}")
    if given.only != "faults":
        cycle("modbus_server", modbus_cycles)
        cycle("opcua_server", opcua_cycles)


if __name__ == "__main__":
    main()
