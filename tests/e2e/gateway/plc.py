"""A PLC's program in Python: the handshake over words that some protocol carries."""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

COMMAND_WORDS, RESULT_WORDS = 8, 24
PATIENCE_S = 15.0
READY, TRIGGER_ACK, VALID, OK, REVIEW, NG, FAULT = (1 << bit for bit in (0, 1, 4, 5, 6, 7, 8))


class Words(Protocol):
    """How a protocol's peer holds the words of both areas."""

    def command(self, words: Sequence[int]) -> None: ...

    def result(self) -> Sequence[int]: ...


@dataclass(frozen=True)
class Seen:
    """The result as the PLC has read it from raw words, high word first."""

    words: tuple[int, ...]

    @property
    def status(self) -> int:
        return self.words[0]

    @property
    def code(self) -> int:
        return self.words[2]

    @property
    def trigger_id(self) -> int:
        return self.words[4] << 16 | self.words[5]

    @property
    def score(self) -> float:
        number: float = struct.unpack(">f", struct.pack(">HH", *self.words[8:10]))[0]
        return number

    @property
    def decision(self) -> str:
        """By the bits alone, as a PLC would."""
        names = [name for name, bit in (("OK", OK), ("REVIEW", REVIEW), ("NG", NG)) if self.status & bit]
        assert len(names) == 1, self.words
        return names[0]


class Plc:
    """Triggers, waits, acknowledges."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._beat = 0

    def seen(self) -> Seen:
        return Seen(tuple(self._words.result()))

    def put(self, *, trigger: bool = False, acknowledge: bool = False, recipe: int = 1, number: int = 0) -> None:
        self._beat = (self._beat + 1) & 0xFFFF
        control = trigger | acknowledge << 1
        self._words.command([control, self._beat, recipe, 0, number >> 16, number & 0xFFFF, 0, 0])

    def wait(self, bit: int, *, is_set: bool = True) -> Seen:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            seen = self.seen()
            if bool(seen.status & bit) == is_set and seen.words[3] == seen.words[23]:
                return seen
            time.sleep(0.002)
        raise AssertionError(f"bit {bit} did not become {is_set}: {self.seen().words}")

    def inspect(self, number: int, recipe: int = 1, *, acknowledge: bool = True) -> Seen:
        """One part from trigger to acknowledgement."""
        self.wait(READY)
        self.put(trigger=True, recipe=recipe, number=number)
        self.wait(TRIGGER_ACK)
        self.put(recipe=recipe, number=number)
        until = time.monotonic() + PATIENCE_S
        while True:
            seen = self.wait(VALID)
            if seen.trigger_id == number:
                break
            assert time.monotonic() < until, seen.words
        if acknowledge:
            self.put(acknowledge=True, recipe=recipe, number=number)
            self.wait(VALID, is_set=False)
            self.put(recipe=recipe, number=number)
        return seen
