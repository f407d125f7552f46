"""The words that PLC and gateway exchange: one layout for Modbus registers, S7 data blocks, INT arrays of EtherNet/IP
and WORD arrays of ADS.

A word has 16 bits and bit 0 is 0x0001. A value of 32 bits takes two words, the high one first (`big`) or last
(`little`). The command's words are written by the PLC, the result's by the gateway.
"""

from __future__ import annotations

import csv
import io
import math
import struct
from collections.abc import Sequence
from typing import Literal, NamedTuple

from service.gateway.events import Decision, Phase
from service.gateway.handshake import Command
from service.gateway.outputs_view import Outputs

WordOrder = Literal["big", "little"]
Area = Literal["command", "result"]
Kind = Literal["bit", "uint16", "uint32", "float32"]
COMMAND_WORDS, RESULT_WORDS = 8, 24
LAYOUT_VERSION = 1
LARGEST_FLOAT = 3.4028234663852886e38
COMMAND_BITS = 0b111
DECISIONS: dict[Decision | None, int] = {
    None: 0,
    Decision.OK: 1,
    Decision.REVIEW: 2,
    Decision.NG: 3,
    Decision.REJECT: 4,
}
PHASES = {Phase.STOPPED: 0, Phase.READY: 1, Phase.ACQUIRING: 2, Phase.JUDGING: 3, Phase.RESULT: 4}


class Field(NamedTuple):
    """One row of the map. `bit` is -1 for whole words."""

    area: Area
    word: int
    bit: int
    kind: Kind
    name: str
    meaning: str


MAP: tuple[Field, ...] = (
    Field("command", 0, 0, "bit", "Trigger", "rising edge starts a cycle; hold it until TriggerAck, then release"),
    Field("command", 0, 1, "bit", "Acknowledge", "rising edge: the result has been taken"),
    Field("command", 0, 2, "bit", "Abort", "rising edge ends a running cycle by REJECT, code 14"),
    Field("command", 1, -1, "uint16", "PlcHeartbeat", "any value that changes while the PLC runs"),
    Field("command", 2, -1, "uint16", "Recipe", "number of the product, as in the station's table"),
    Field("command", 4, -1, "uint32", "TriggerId", "the PLC's number of this part; another one for each part"),
    Field("result", 0, 0, "bit", "Ready", "a trigger would start a cycle"),
    Field("result", 0, 1, "bit", "TriggerAck", "the trigger was seen; follows it down when it is released"),
    Field("result", 0, 2, "bit", "Acquiring", "waits for the picture: the part must not move"),
    Field("result", 0, 3, "bit", "Judging", "waits for the verdict: the part may move"),
    Field("result", 0, 4, "bit", "ResultValid", "the words below belong to TriggerId"),
    Field("result", 0, 5, "bit", "OK", "good; only together with ResultValid"),
    Field("result", 0, 6, "bit", "REVIEW", "for a person to look at"),
    Field("result", 0, 7, "bit", "NG", "not good, or not judged: set whenever neither OK nor REVIEW is"),
    Field("result", 0, 8, "bit", "Fault", "ResultCode is not 0"),
    Field("result", 1, -1, "uint16", "Heartbeat", "counts up while the gateway runs, 1 to 65535"),
    Field("result", 2, -1, "uint16", "ResultCode", "0 judged, else why not"),
    Field("result", 3, -1, "uint16", "ResultCounter", "counts results, 1 to 65535: tells two equal results apart"),
    Field("result", 4, -1, "uint32", "TriggerId", "the trigger that the result belongs to"),
    Field("result", 6, -1, "uint16", "Recipe", "the recipe that was judged by"),
    Field("result", 7, -1, "uint16", "Decision", "0 none, 1 OK, 2 REVIEW, 3 NG, 4 REJECT (not judged)"),
    Field("result", 8, -1, "float32", "Score", "the higher, the less like the good ones; -1 where not judged"),
    Field("result", 10, -1, "float32", "Threshold", "scores above it are NG; -1 where not judged"),
    Field("result", 12, -1, "uint16", "CycleMs", "milliseconds from trigger to decision, 65535 at most"),
    Field("result", 13, -1, "uint16", "RefusedCounter", "counts triggers refused while another one ran"),
    Field("result", 14, -1, "uint32", "RefusedTriggerId", "the last of these: this part is not OK"),
    Field("result", 16, -1, "uint16", "RefusedCode", "why it was refused"),
    Field("result", 17, -1, "uint16", "FaultCounter", "counts answers that were not judged"),
    Field("result", 18, -1, "uint16", "State", "0 stopped, 1 ready, 2 acquiring, 3 judging, 4 result"),
    Field("result", 19, -1, "uint32", "Artifact", "first 32 bits of the hash of the artifact that judged"),
    Field("result", 22, -1, "uint16", "LayoutVersion", f"version of this map: {LAYOUT_VERSION}"),
    Field("result", 23, -1, "uint16", "ResultCounterEnd", "equals ResultCounter; where not, read again"),
)


def encode(outputs: Outputs, order: WordOrder) -> list[int]:
    """The result's words, RESULT_WORDS of them."""
    answer = outputs.answer
    words = [0] * RESULT_WORDS
    words[0] = _status(outputs)
    words[1], words[2], words[3] = outputs.heartbeat, int(outputs.code), outputs.result
    words[4:6] = _uint32(outputs.trigger_id, order)
    words[6] = recipe_number(outputs.recipe)
    words[7] = DECISIONS[outputs.decision]
    words[8:10] = _float32(answer.score if answer else None, order)
    words[10:12] = _float32(answer.threshold if answer else None, order)
    words[12] = min(0xFFFF, round(answer.seconds * 1000)) if answer else 0
    words[13] = outputs.refused
    words[14:16] = _uint32(outputs.refused_trigger_id, order)
    words[16], words[17], words[18] = int(outputs.refused_code), outputs.faults, PHASES[outputs.phase]
    words[19:21] = _uint32(_hash_start(answer.artifact if answer else ""), order)
    words[22], words[23] = LAYOUT_VERSION, outputs.result
    return words


def decode(words: Sequence[int], order: WordOrder) -> Command:
    """The command of the PLC's words. Bits without a meaning make it invalid: its recipe is one that does not exist."""
    control = words[0]
    high, low = (words[4], words[5]) if order == "big" else (words[5], words[4])
    return Command(
        trigger=bool(control & 1),
        acknowledge=bool(control & 2),
        abort=bool(control & 4),
        heartbeat=words[1],
        recipe=str(words[2]) if not control & ~COMMAND_BITS else "invalid",
        trigger_id=high << 16 | low,
    )


def recipe_number(recipe: str) -> int:
    """A recipe as a word; 0 for one that is no number of 16 bits."""
    return int(recipe) if recipe.isascii() and recipe.isdigit() and int(recipe) <= 0xFFFF else 0


def to_bytes(words: Sequence[int]) -> bytes:
    """Words as a PLC with the high byte first holds them (S7)."""
    return struct.pack(f">{len(words)}H", *words)


def from_bytes(data: bytes | bytearray) -> list[int]:
    """The inverse of `to_bytes`."""
    return list(struct.unpack(f">{len(data) // 2}H", bytes(data)))


def as_csv(command_at: int, result_at: int, order: WordOrder) -> str:
    """The map as CSV for import: one row a field, with its register and its byte in a data block."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["area", "register", "bit", "byte_offset", "type", "word_order", "name", "meaning"])
    for field in MAP:
        first = command_at if field.area == "command" else result_at
        bit = field.bit if field.bit >= 0 else ""
        order_text = order if field.kind in ("uint32", "float32") else ""
        row = [field.area, first + field.word, bit, 2 * field.word, field.kind, order_text, field.name, field.meaning]
        writer.writerow(row)
    return out.getvalue()


def as_table(command_at: int, result_at: int) -> str:
    """The map as a table in Markdown."""
    lines = ["| Area | Register | Bit | Byte | Type | Name | Meaning |", "|---|---|---|---|---|---|---|"]
    for field in MAP:
        first = command_at if field.area == "command" else result_at
        bit = str(field.bit) if field.bit >= 0 else ""
        cells = [field.area, str(first + field.word), bit, str(2 * field.word), field.kind, field.name, field.meaning]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _status(outputs: Outputs) -> int:
    bits = (
        outputs.ready,
        outputs.trigger_seen,
        outputs.acquiring,
        outputs.judging,
        outputs.result_valid,
        outputs.ok,
        outputs.review,
        outputs.ng,
        outputs.fault,
    )
    return sum(1 << place for place, is_set in enumerate(bits) if is_set)


def _uint32(value: int, order: WordOrder) -> list[int]:
    words = [value >> 16 & 0xFFFF, value & 0xFFFF]
    return words if order == "big" else words[::-1]


def _float32(value: float | None, order: WordOrder) -> list[int]:
    number = -1.0 if value is None or math.isnan(value) else max(-LARGEST_FLOAT, min(LARGEST_FLOAT, value))
    (bits,) = struct.unpack(">I", struct.pack(">f", number))
    return _uint32(bits, order)


def _hash_start(digest: str) -> int:
    try:
        return int(digest[:8].ljust(8, "0"), 16)
    except ValueError:
        return 0
