"""The gateway as an ADS client of a Beckhoff PLC: two WORD arrays hold command and result.

An array is written whole, since its elements cannot be written as a part of it by name. The route to the gateway must
be entered in the PLC.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from service.gateway.libraries import need
from service.gateway.links.polled import PolledLink, PolledSettings
from service.gateway.registers import COMMAND_WORDS, RESULT_WORDS
from service.gateway.runner import StationRunner


class AdsSettings(PolledSettings):
    """`[station.link] kind = "ads"`."""

    kind: Literal["ads"]
    net_id: str = Field(pattern=r"^\d{1,3}(\.\d{1,3}){5}$", description="AMS net id of the PLC.")
    host: str = Field(description="Address of the PLC.")
    port: int = Field(default=851, ge=1, le=65535, description="AMS port of the PLC's runtime.")
    command: str = Field(default="GVL_Mkd.Command", description="Name of the command, ARRAY [0..7] OF WORD.")
    result: str = Field(default="GVL_Mkd.Result", description="Name of the result, ARRAY [0..23] OF WORD.")

    def claims(self) -> set[str]:
        return {f"{self.result} of {self.net_id}:{self.port}"}

    def link(self, runner: StationRunner) -> PolledLink:
        need("pyads", "ads")
        return PolledLink(self, runner, lambda: AdsPort(self))


class AdsPort:
    """One connection. The handles of both names are asked for once."""

    def __init__(self, settings: AdsSettings) -> None:
        self._settings = settings
        self._ads: Any = need("pyads", "ads")
        self._connection: Any = self._ads.Connection(settings.net_id, settings.port, settings.host)
        self._handles: tuple[int, int] = (0, 0)
        self._words = [0] * RESULT_WORDS

    def open(self) -> None:
        self._connection.open()
        self._connection.set_timeout(int(self._settings.exchange_ms))
        names = (self._settings.command, self._settings.result)
        command, result = (self._connection.get_handle(name) for name in names)
        self._handles = (command, result)

    def read(self) -> Sequence[int]:
        kind = self._ads.PLCTYPE_UINT * COMMAND_WORDS
        words: list[int] = self._connection.read_by_name("", kind, handle=self._handles[0])
        return words

    def write(self, first: int, words: Sequence[int]) -> None:
        self._words[first : first + len(words)] = words
        # All of them, each within 16 bits: pyads 3.6 fills a shorter list up with zeros, and wraps a larger number.
        kind = self._ads.PLCTYPE_UINT * RESULT_WORDS
        self._connection.write_by_name("", self._words, kind, handle=self._handles[1])

    def close(self) -> None:
        self._connection.close()
