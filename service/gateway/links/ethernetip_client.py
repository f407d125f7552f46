"""The gateway as an EtherNet/IP client of a Logix PLC: two INT arrays hold command and result.

A Logix INT is signed; words are taken and given modulo 2**16. After any failure the link makes a new connection: this
library would give the late answer of a timed-out read to the next one.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from service.gateway.libraries import need
from service.gateway.links.polled import PolledLink, PolledSettings
from service.gateway.registers import COMMAND_WORDS, RESULT_WORDS
from service.gateway.runner import StationRunner

TAG_PATTERN = r"^(Program:[A-Za-z_]\w{0,39}\.)?[A-Za-z_]\w{0,39}$"


class EtherNetIpSettings(PolledSettings):
    """`[station.link] kind = "ethernetip"`."""

    kind: Literal["ethernetip"]
    path: str = Field(description="Address of the PLC and its slot: 192.0.2.10/0.")
    command_tag: str = Field(default="MkdCommand", pattern=TAG_PATTERN, description="Tag of the command, INT[8].")
    result_tag: str = Field(default="MkdResult", pattern=TAG_PATTERN, description="Tag of the result, INT[24].")

    def claims(self) -> set[str]:
        return {f"tag {self.result_tag} of {self.path}"}

    def link(self, runner: StationRunner) -> PolledLink:
        need("pycomm3", "ethernetip")
        return PolledLink(self, runner, lambda: EtherNetIpPort(self))


class EtherNetIpPort:
    """One connection."""

    def __init__(self, settings: EtherNetIpSettings) -> None:
        self._settings = settings
        self._driver: Any = need("pycomm3", "ethernetip").LogixDriver(
            settings.path, init_tags=False, init_program_tags=False
        )

    def open(self) -> None:
        self._driver.socket_timeout = self._settings.exchange_ms / 1000
        if not self._driver.open():
            raise ConnectionError(f"no EtherNet/IP device at {self._settings.path}")
        # The library's documentation allows to set the definitions: the upload of all tags would take seconds.
        arrays = ((self._settings.command_tag, COMMAND_WORDS), (self._settings.result_tag, RESULT_WORDS))
        self._driver._tags = {name: _definition(name, words) for name, words in arrays}

    def read(self) -> Sequence[int]:
        tag = self._driver.read(f"{self._settings.command_tag}{{{COMMAND_WORDS}}}")
        if tag.error or tag.value is None or len(tag.value) != COMMAND_WORDS:
            raise ConnectionError(f"the PLC refuses {self._settings.command_tag}: {tag.error}")
        return [value & 0xFFFF for value in tag.value]

    def write(self, first: int, words: Sequence[int]) -> None:
        # Two requests in one packet: pycomm3 1.2.16 puts a single write twice into its packet, which strict devices
        # refuse.
        middle = len(words) // 2
        halves = [(first, words[:middle]), (first + middle, words[middle:])] if middle else [(first, words)] * 2
        for tag in self._driver.write(*(self._request(at, half) for at, half in halves)):
            if tag.error:
                raise ConnectionError(f"the PLC refuses {self._settings.result_tag}: {tag.error}")

    def _request(self, first: int, words: Sequence[int]) -> tuple[str, bytes]:
        """As bytes, since the library checks values against the whole array where a part of it is written."""
        return f"{self._settings.result_tag}[{first}]{{{len(words)}}}", struct.pack(f"<{len(words)}H", *words)

    def close(self) -> None:
        self._driver.close()


def _definition(name: str, words: int) -> dict[str, Any]:
    """What an upload would have told of an INT array."""
    types = need("pycomm3.cip.data_types", "ethernetip")
    return {
        "tag_name": name,
        "instance_id": None,
        "dim": 1,
        "dimensions": [words, 0, 0],
        "alias": False,
        "external_access": "Read/Write",
        "tag_type": "atomic",
        "data_type": "INT",
        "data_type_name": "INT",
        "type_class": types.Array(words, types.INT),
    }
