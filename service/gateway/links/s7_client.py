"""The gateway as a client of a Siemens S7 PLC: both areas lie in data blocks, words with the high byte first.

The block must be without optimised access, and PUT/GET must be allowed in the PLC's protection settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from service.gateway.libraries import need
from service.gateway.links.polled import PolledLink, PolledSettings
from service.gateway.registers import COMMAND_WORDS, RESULT_WORDS, from_bytes, to_bytes
from service.gateway.runner import StationRunner


class S7Settings(PolledSettings):
    """`[station.link] kind = "s7"`."""

    kind: Literal["s7"]
    host: str = Field(description="Address of the PLC.")
    port: int = Field(default=102, ge=1, le=65535, description="TCP port of the PLC.")
    rack: int = Field(default=0, ge=0, le=7, description="Rack of the CPU.")
    slot: int = Field(default=1, ge=0, le=31, description="Slot of the CPU.")
    command_block: int = Field(default=100, ge=1, le=65535, description="Number of the command's data block.")
    command_byte: int = Field(default=0, ge=0, le=65000, description="Its first byte.")
    result_block: int = Field(default=101, ge=1, le=65535, description="Number of the result's data block.")
    result_byte: int = Field(default=0, ge=0, le=65000, description="Its first byte.")

    def claims(self) -> set[str]:
        first = self.result_byte
        return {
            f"byte {byte} of DB{self.result_block} of {self.host}:{self.port}"
            for byte in range(first, first + 2 * RESULT_WORDS)
        }

    def link(self, runner: StationRunner) -> PolledLink:
        need("snap7", "s7")
        return PolledLink(self, runner, lambda: S7Port(self))


class S7Port:
    """One connection."""

    def __init__(self, settings: S7Settings) -> None:
        self._settings = settings
        self._client: Any = need("snap7.client", "s7").Client()

    def open(self) -> None:
        settings = self._settings
        self._client.connect(settings.host, settings.rack, settings.slot, settings.port)

    def read(self) -> Sequence[int]:
        settings = self._settings
        return from_bytes(self._client.db_read(settings.command_block, settings.command_byte, 2 * COMMAND_WORDS))

    def write(self, first: int, words: Sequence[int]) -> None:
        settings = self._settings
        self._client.db_write(settings.result_block, settings.result_byte + 2 * first, bytearray(to_bytes(words)))

    def close(self) -> None:
        self._client.disconnect()
