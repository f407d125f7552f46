"""One good and one bad part through each protocol of words, against its real peer; then the peer goes away."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.e2e.gateway.plc import COMMAND_WORDS, NG, READY, RESULT_WORDS, Plc, Words
from tests.e2e.gateway.processes import FakeJudge, GatewayProcess, free_port, wait_for

STATION = """
[[station]]
name = "press"
window_ms = 2000
recipes = {{ 1 = "bolt", 2 = "tile" }}
source = {{ kind = "files", folder = "{pictures}" }}
link = {{ {link} }}
"""


class Peer(Protocol):
    """The PLC's side of one protocol."""

    @property
    def link(self) -> str: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def words(self) -> Words: ...


class ModbusMaster:
    """The PLC as a Modbus client of the gateway's server."""

    def __init__(self) -> None:
        from pymodbus.client import ModbusTcpClient

        port = free_port()
        self.link = f'kind = "modbus_server", port = {port}'
        self._client: Any = ModbusTcpClient("127.0.0.1", port=port, timeout=3, retries=0)

    def start(self) -> None:
        """The gateway listens, not we."""

    def stop(self) -> None:
        self._client.close()

    def words(self) -> ModbusMaster:
        wait_for(self._client.connect, "the gateway's Modbus server")
        return self

    def command(self, words: Sequence[int]) -> None:
        assert not self._client.write_registers(0, list(words)).isError()

    def result(self) -> Sequence[int]:
        answer = self._client.read_holding_registers(100, count=RESULT_WORDS)
        assert not answer.isError()
        return list(answer.registers)


class ModbusSlave:
    """The PLC as a Modbus server that the gateway is a client of."""

    def __init__(self) -> None:
        self.port = free_port()
        self.link = f'kind = "modbus_client", host = "127.0.0.1", port = {self.port}, exchange_ms = 400'
        self._command = [0] * COMMAND_WORDS
        self._result = [0] * RESULT_WORDS
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: Any = None
        self._thread: threading.Thread | None = None

    async def _action(
        self, function: int, start: int, address: int, count: int, registers: list[int], values: list[int] | None
    ) -> None:
        if values is None:
            registers[0:COMMAND_WORDS] = self._command
        else:
            self._result[address - 100 : address - 100 + len(values)] = values

    def start(self) -> None:
        started = threading.Event()

        def work() -> None:
            from pymodbus.server import ModbusTcpServer
            from pymodbus.simulator import DataType, SimData, SimDevice

            async def serve() -> None:
                self._loop = asyncio.get_running_loop()
                areas = ((0, COMMAND_WORDS), (100, RESULT_WORDS))
                data = [SimData(at, count=count, datatype=DataType.REGISTERS) for at, count in areas]
                device = SimDevice(1, simdata=data, action=self._action)  # type: ignore[arg-type]
                self._server = ModbusTcpServer(device, address=("127.0.0.1", self.port))
                await self._server.serve_forever(background=True)
                started.set()
                await self._server.serving

            with contextlib.suppress(asyncio.CancelledError):
                asyncio.run(serve())

        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()
        assert started.wait(10)

    def stop(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            assert self._loop is not None
            asyncio.run_coroutine_threadsafe(self._server.shutdown(), self._loop)
            self._thread.join(10)

    def words(self) -> ModbusSlave:
        return self

    def command(self, words: Sequence[int]) -> None:
        self._command[:] = words

    def result(self) -> Sequence[int]:
        return list(self._result)


class S7Plc:
    """snap7's server with two data blocks in shared memory."""

    def __init__(self) -> None:
        self.port = free_port()
        self.link = (
            f'kind = "s7", host = "127.0.0.1", port = {self.port}, exchange_ms = 400, '
            "command_block = 10, result_block = 11"
        )
        self._blocks = {10: bytearray(2 * COMMAND_WORDS), 11: bytearray(2 * RESULT_WORDS)}
        self._server: Any = None

    def start(self) -> None:
        from snap7.server import Server
        from snap7.type import SrvArea

        self._server = Server(log=False)
        for number, block in self._blocks.items():
            self._server.register_area(SrvArea.DB, number, block)
        self._server.start(self.port)

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server.destroy()
            self._server = None

    def words(self) -> S7Plc:
        return self

    def command(self, words: Sequence[int]) -> None:
        # The control word last, as a PLC's program would set the trigger after the recipe.
        data = b"".join(word.to_bytes(2, "big") for word in words)
        self._blocks[10][2:] = data[2:]
        self._blocks[10][:2] = data[:2]

    def result(self) -> Sequence[int]:
        data = bytes(self._blocks[11])
        return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]


class LogixPlc:
    """cpppo's simulated controller, which is of use for tests alone (GPL), read by its own client."""

    def __init__(self) -> None:
        self.port = free_port()
        self.link = f'kind = "ethernetip", path = "127.0.0.1:{self.port}/0", exchange_ms = 1000'
        self._process: subprocess.Popen[bytes] | None = None
        self._driver: Any = None

    def start(self) -> None:
        tags = (f"MkdCommand=INT[{COMMAND_WORDS}]", f"MkdResult=INT[{RESULT_WORDS}]")
        command = [sys.executable, "-W", "ignore", "-m", "cpppo.server.enip", "-a", f"127.0.0.1:{self.port}"]
        self._process = subprocess.Popen([*command, *tags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self._open, "cpppo's server")

    def _open(self) -> bool:
        from service.gateway.links.ethernetip_client import EtherNetIpPort, EtherNetIpSettings

        # The PLC's own view, through a connection of its own with the areas exchanged.
        settings = EtherNetIpSettings(kind="ethernetip", path=f"127.0.0.1:{self.port}/0", exchange_ms=3000)
        port = EtherNetIpPort(settings)
        try:
            port.open()
        except Exception:
            port.close()
            return False
        self._driver = port._driver
        return True

    def stop(self) -> None:
        if self._driver is not None:
            with contextlib.suppress(Exception):
                self._driver.close()
            self._driver = None
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def words(self) -> LogixPlc:
        return self

    def command(self, words: Sequence[int]) -> None:
        data = struct.pack(f"<{COMMAND_WORDS}H", *words)
        # Twice, as a single write is spoilt by pycomm3; the control word last.
        requests = ((f"MkdCommand[1]{{{COMMAND_WORDS - 1}}}", data[2:]), ("MkdCommand[0]{1}", data[:2]))
        assert not any(tag.error for tag in self._driver.write(*requests))

    def result(self) -> Sequence[int]:
        tag = self._driver.read(f"MkdResult{{{RESULT_WORDS}}}")
        assert not tag.error, tag.error
        return [value & 0xFFFF for value in tag.value]


class BeckhoffPlc:
    """pyads' test server. Its port is fixed, as that of every ADS device is."""

    def __init__(self) -> None:
        self.link = 'kind = "ads", net_id = "127.0.0.1.1.1", host = "127.0.0.1", exchange_ms = 1000'
        self._server: Any = None
        self._variables: tuple[Any, Any] | None = None

    def start(self) -> None:
        from pyads import constants
        from pyads.testserver import AdsTestServer, AdvancedHandler, PLCVariable

        handler = AdvancedHandler()
        names = (("GVL_Mkd.Command", COMMAND_WORDS), ("GVL_Mkd.Result", RESULT_WORDS))
        made = [PLCVariable(name, bytes(2 * words), constants.ADST_UINT16, f"ARRAY [0..{words - 1}] OF WORD")
                for name, words in names]  # fmt: skip
        for variable in made:
            handler.add_variable(variable)
        self._variables = (made[0], made[1])
        self._server = AdsTestServer(handler=handler, logging=False)
        self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server.join(5)
            self._server = None

    def words(self) -> BeckhoffPlc:
        return self

    def command(self, words: Sequence[int]) -> None:
        assert self._variables is not None
        self._variables[0].value = b"".join(word.to_bytes(2, "little") for word in words)

    def result(self) -> Sequence[int]:
        assert self._variables is not None
        data = self._variables[1].value
        return [int.from_bytes(data[at : at + 2], "little") for at in range(0, len(data), 2)]


PEERS: dict[str, Callable[[], Peer]] = {
    "pymodbus": ModbusMaster,
    "pymodbus.server": ModbusSlave,
    "snap7": S7Plc,
    "cpppo": LogixPlc,
    "pyads": BeckhoffPlc,
}
NEEDS = {"cpppo": "pycomm3"}


@pytest.fixture(params=PEERS)
def peer(request: pytest.FixtureRequest) -> Iterator[Peer]:
    name = request.param
    for module in (name.partition(".")[0], NEEDS.get(name, "sys")):
        pytest.importorskip(module, reason=f"needs {module}: pip install 'mkdserve[line-test]'")
    made: Peer = PEERS[name]()
    yield made
    made.stop()


def test_good_is_ok_bad_is_ng_and_an_unknown_recipe_is_neither(
    peer: Peer, judge: FakeJudge, pictures: Path, tmp_path: Path
) -> None:
    peer.start()
    with GatewayProcess(tmp_path, judge.port, STATION.format(pictures=pictures, link=peer.link)) as gateway:
        plc = Plc(peer.words())
        plc.put()
        good = plc.inspect(70001)
        assert (good.decision, good.code, good.trigger_id, good.score) == ("OK", 0, 70001, 0.5)
        bad = plc.inspect(70002, recipe=2)
        assert (bad.decision, bad.code, bad.trigger_id, bad.score) == ("NG", 0, 70002, 3.5)
        unknown = plc.inspect(70003, recipe=9)
        assert (unknown.decision, unknown.code) == ("NG", 12)
        assert gateway.metric('mkd_line_answers_total{decision="OK",station="press"}') == 1
        assert gateway.stop() == 0
    if not isinstance(peer, ModbusMaster):
        last = plc.seen()
        assert (last.decision, last.code, last.status & READY) == ("NG", 51, 0)


def test_a_plc_that_goes_away_and_comes_back_is_found_again(
    peer: Peer, judge: FakeJudge, pictures: Path, tmp_path: Path
) -> None:
    peer.start()
    with GatewayProcess(tmp_path, judge.port, STATION.format(pictures=pictures, link=peer.link)) as gateway:
        plc = Plc(peer.words())
        plc.put()
        assert plc.inspect(1, acknowledge=False).decision == "OK"
        peer.stop()
        wait_for(lambda: not gateway.station()["ready"], "the gateway to miss the PLC")
        assert gateway.station()["decision"] != "OK"
        time.sleep(0.3)
        peer.start()
        plc = Plc(peer.words())
        plc.put()
        plc.wait(NG)
        assert plc.inspect(2, recipe=2).decision == "NG"
        assert plc.inspect(3).decision == "OK"
