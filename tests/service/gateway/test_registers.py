"""The words as a PLC sees them, bit by bit: no library is at either end."""

from __future__ import annotations

import csv
import struct

import pytest

from service.gateway import registers
from service.gateway.codes import Code
from service.gateway.events import TriggerRequest
from service.gateway.judge import GatewayVerdict
from service.gateway.outputs_view import Outputs
from service.gateway.station import Station


def shown(score: float = 0.5, decision: str = "OK") -> Outputs:
    station = Station({"513": "bolt"}, 1.0)
    station.start(0.0)
    station.trigger(0.0, TriggerRequest(0x12345678, "513"))
    station.picture(0.1, 1)
    station.verdict(0.25, 1, GatewayVerdict("bolt", decision, score, 2.0, artifact="deadbeef00"))  # type: ignore[arg-type]
    return station.outputs()


def test_the_words_of_a_good_part() -> None:
    words = registers.encode(shown(), "big")
    assert len(words) == registers.RESULT_WORDS
    assert words[0] == 0b0_0011_0001  # Ready, ResultValid, OK
    assert words[2:4] == [0, 1]
    assert words[4:8] == [0x1234, 0x5678, 513, 1]
    assert struct.unpack(">ff", registers.to_bytes(words[8:12])) == (0.5, 2.0)
    assert words[12] == 250
    assert words[19:21] == [0xDEAD, 0xBEEF]
    assert words[23] == words[3]


def test_the_little_word_order_exchanges_words_and_not_bytes() -> None:
    words = registers.encode(shown(), "little")
    assert words[4:6] == [0x5678, 0x1234]
    assert words[8:10] == [0, 0x3F00]


def test_a_part_that_was_not_judged_shows_ng_fault_and_scores_of_minus_one() -> None:
    station = Station({"1": "bolt"}, 1.0)
    station.start(0.0)
    station.trigger(0.0, TriggerRequest(7, "1"))
    station.tick(2.0)
    words = registers.encode(station.outputs(), "big")
    assert words[0] == 0b1_1001_0001  # Fault, NG, ResultValid, Ready
    assert (words[2], words[7]) == (int(Code.PICTURE_LATE), 4)
    assert struct.unpack(">ff", registers.to_bytes(words[8:12])) == (-1.0, -1.0)


def test_a_score_beyond_32_bits_is_the_largest_there_is_and_never_infinite() -> None:
    words = registers.encode(shown(1e300, "NG"), "big")
    assert struct.unpack(">f", registers.to_bytes(words[8:10]))[0] == pytest.approx(3.4028235e38)


def test_the_command_is_read_bit_by_bit() -> None:
    command = registers.decode([0b101, 9, 2, 0, 0xFFFF, 0xFFFE, 0, 0], "big")
    assert (command.trigger, command.acknowledge, command.abort) == (True, False, True)
    assert (command.heartbeat, command.recipe, command.trigger_id) == (9, "2", 0xFFFFFFFE)
    assert registers.decode([1, 0, 2, 0, 1, 0, 0, 0], "little").trigger_id == 1


def test_nonsense_in_the_control_word_names_no_recipe() -> None:
    assert registers.decode([0xFFFF, 0, 1, 0, 0, 0, 0, 0], "big").recipe == "invalid"


def test_bytes_and_words_are_each_others_inverse() -> None:
    words = list(range(0, 65536, 4096))
    assert registers.from_bytes(registers.to_bytes(words)) == words
    assert registers.to_bytes([0x0102]) == b"\x01\x02"


def test_fields_neither_overlap_nor_leave_their_area() -> None:
    used: set[tuple[str, int, int]] = set()
    for field in registers.MAP:
        words = 2 if field.kind in ("uint32", "float32") else 1
        bits = [field.bit] if field.kind == "bit" else range(16)
        cells = {(field.area, field.word + extra, bit) for extra in range(words) for bit in bits}
        assert not cells & used, field
        used |= cells
        limit = registers.COMMAND_WORDS if field.area == "command" else registers.RESULT_WORDS
        assert field.word + words <= limit


def test_the_map_as_csv_has_a_row_for_each_field() -> None:
    rows = list(csv.DictReader(registers.as_csv(10, 200, "little").splitlines()))
    assert len(rows) == len(registers.MAP)
    trigger_id = next(row for row in rows if row["area"] == "command" and row["name"] == "TriggerId")
    assert (trigger_id["register"], trigger_id["byte_offset"], trigger_id["word_order"]) == ("14", "8", "little")
