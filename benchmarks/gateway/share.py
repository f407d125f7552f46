"""The gateway's own share of a cycle over loopback, by a client in another process.

The time is from the write of the trigger to the read of the result, around a camera and a judge that take no time. The
same messages around a request that starts nothing are measured beside it; what the cycle takes more is the share.

    python -m benchmarks.gateway.share KIND PORT      # the gateway alone, until it is killed
"""

from __future__ import annotations

import asyncio
import importlib
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from benchmarks.harness.service_process import free_port
from service import logs
from service.gateway.codes import Code
from service.gateway.events import Acquire
from service.gateway.judge import GatewayVerdict, Ids
from service.gateway.links.modbus_server import ModbusServerSettings
from service.gateway.links.opcua_server import OpcUaServerSettings
from service.gateway.metrics import LineMetrics
from service.gateway.picture import Picture
from service.gateway.runner import StationRunner
from service.gateway.station import Station


class InstantJudge:
    async def judge(self, picture: Picture, product: str, deadline: float, ids: Ids) -> GatewayVerdict:
        return GatewayVerdict(product, "OK", 1.0, 2.0)

    async def ready(self) -> Code | None:
        return None

    async def close(self) -> None:
        """Nothing is open."""


class InstantCamera:
    async def open(self) -> None:
        """Always there."""

    async def check(self) -> None:
        """Always well."""

    async def close(self) -> None:
        """Nothing is open."""

    async def acquire(self, order: Acquire) -> Picture:
        return Picture(b"picture")


def serve(kind: str, port: int) -> None:
    """A gateway of one station, until it is killed."""
    settings = LINKS[kind](port)
    logs.configure("error")

    async def work() -> None:
        machine = Station({"1": "bolt"}, 1.0)
        runner = StationRunner("press", machine, InstantCamera(), InstantJudge(), LineMetrics(), run="bench")
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
    server = subprocess.Popen([sys.executable, "-m", "benchmarks.gateway.share", kind, str(port)])
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


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
