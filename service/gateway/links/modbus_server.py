"""The gateway as a Modbus TCP server: the PLC writes the command's registers and reads those of the result.

A write is handled before it is answered, so the PLC's next read sees TriggerAck. A result counts as delivered when the
PLC reads it: one that is not read within the window is withdrawn.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from pydantic import Field

from service.gateway.libraries import need
from service.gateway.registers import COMMAND_WORDS, RESULT_WORDS, WordOrder, decode, encode
from service.gateway.runner import StationRunner
from service.gateway.schema import LineSchema

WRITES = frozenset({6, 16, 22, 23})


class ModbusServerSettings(LineSchema):
    """`[station.link] kind = "modbus_server"`: one server for each station, told apart by port."""

    kind: Literal["modbus_server"]
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=502, ge=1, le=65535, description="TCP port to listen on; below 1024 needs a privilege.")
    unit: int = Field(default=1, ge=0, le=247, description="Unit id that the PLC addresses.")
    command_at: int = Field(default=0, ge=0, le=65000, description="First holding register of the command.")
    result_at: int = Field(default=100, ge=0, le=65000, description="First holding register of the result.")
    word_order: WordOrder = Field(default="big", description="Which word of a value of 32 bits comes first.")

    def claims(self) -> set[str]:
        """What no other station may use as well."""
        return {f"tcp port {self.port}"}

    def link(self, runner: StationRunner) -> ModbusServerLink:
        return ModbusServerLink(self, runner)


class ModbusServerLink:
    """Serves the registers of one station."""

    def __init__(self, settings: ModbusServerSettings, runner: StationRunner) -> None:
        self._settings = settings
        self._runner = runner
        self._command = [0] * COMMAND_WORDS
        self._connections = 0
        self._modbus = need("pymodbus.server", "modbus")
        self._simulator = need("pymodbus.simulator", "modbus")
        self._illegal = need("pymodbus.constants", "modbus").ExcCodes.ILLEGAL_ADDRESS

    async def run(self) -> None:
        server = self._modbus.ModbusTcpServer(
            self._device(), address=(self._settings.host, self._settings.port), trace_connect=self._connected
        )
        try:
            await server.serve_forever(background=True)  # in the foreground it would swallow its cancellation
            await asyncio.Event().wait()
        finally:
            await server.shutdown()

    def _device(self) -> Any:
        settings = self._settings
        registers = self._simulator.DataType.REGISTERS
        areas = sorted([(settings.command_at, COMMAND_WORDS), (settings.result_at, RESULT_WORDS)])
        data = [self._simulator.SimData(first, count=count, values=0, datatype=registers) for first, count in areas]
        return self._simulator.SimDevice(settings.unit, simdata=data, action=self._access)

    def _connected(self, is_connected: bool) -> None:
        """Called for each connection. With the last one gone nobody holds the trigger any more."""
        self._connections += 1 if is_connected else -1
        if self._connections == 0:
            self._runner.lost()

    async def _access(
        self, function: int, start: int, address: int, count: int, registers: list[int], values: list[int] | None
    ) -> Any:
        settings = self._settings
        if values is not None and function in WRITES:
            first = address - settings.command_at
            if first < 0 or first + len(values) > COMMAND_WORDS:
                return self._illegal
            self._command[first : first + len(values)] = values
            self._runner.sample(decode(self._command, settings.word_order))
            return None
        if values is not None:
            return self._illegal
        shown = self._runner.outputs()
        if shown.result_valid and address < settings.result_at + RESULT_WORDS and address + count > settings.result_at:
            # Before the words are made: an OK whose window is over by now is withdrawn and never read.
            self._runner.delivered(shown.result)
        at = settings.result_at - start
        registers[at : at + RESULT_WORDS] = encode(self._runner.outputs(), settings.word_order)
        return None
