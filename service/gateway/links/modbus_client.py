"""The gateway as a Modbus TCP client of the PLC, which holds both areas in its holding registers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from service.gateway.libraries import need
from service.gateway.links.polled import PolledLink, PolledSettings
from service.gateway.registers import COMMAND_WORDS, RESULT_WORDS
from service.gateway.runner import StationRunner


class ModbusClientSettings(PolledSettings):
    """`[station.link] kind = "modbus_client"`."""

    kind: Literal["modbus_client"]
    host: str = Field(description="Address of the PLC.")
    port: int = Field(default=502, ge=1, le=65535, description="TCP port of the PLC.")
    unit: int = Field(default=1, ge=0, le=247, description="Unit id of the PLC.")
    command_at: int = Field(default=0, ge=0, le=65000, description="First holding register of the command.")
    result_at: int = Field(default=100, ge=0, le=65000, description="First holding register of the result.")

    def claims(self) -> set[str]:
        return {
            f"register {register} of {self.host}:{self.port} unit {self.unit}"
            for register in range(self.result_at, self.result_at + RESULT_WORDS)
        }

    def link(self, runner: StationRunner) -> PolledLink:
        need("pymodbus.client", "modbus")
        return PolledLink(self, runner, lambda: ModbusPort(self))


class ModbusPort:
    """One connection."""

    def __init__(self, settings: ModbusClientSettings) -> None:
        self._settings = settings
        # Without retries: they would be counted on top of the time-out, and the deadline is the link's.
        self._client: Any = need("pymodbus.client", "modbus").ModbusTcpClient(
            settings.host, port=settings.port, timeout=settings.exchange_ms / 1000, retries=0
        )

    def open(self) -> None:
        if not self._client.connect():
            raise ConnectionError(f"no Modbus server at {self._settings.host}:{self._settings.port}")

    def read(self) -> Sequence[int]:
        settings = self._settings
        answer = self._client.read_holding_registers(settings.command_at, count=COMMAND_WORDS, device_id=settings.unit)
        if answer.isError() or len(answer.registers) != COMMAND_WORDS:
            raise ConnectionError(f"the PLC refuses the command's registers: {answer}")
        words: list[int] = answer.registers
        return words

    def write(self, first: int, words: Sequence[int]) -> None:
        at = self._settings.result_at + first
        answer = self._client.write_registers(at, list(words), device_id=self._settings.unit)
        if answer.isError():
            raise ConnectionError(f"the PLC refuses the result's registers: {answer}")

    def close(self) -> None:
        self._client.close()
