"""A record's line holds its own hash: it comes back as it was, and any other byte in it shows."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.audit.audit_record import NO_RECORD, Damaged, opened, sealed, time_of, time_text

TEXTS = st.text(max_size=30)  # with quotes, newlines and characters that are half a pair
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.booleans() | st.none()
MEMBERS = st.dictionaries(TEXTS.filter(lambda name: name not in {"seq", "time", "kind", "prev"}), TEXTS | NUMBERS)
AT = 1_772_000_000.25
HASH = "5e" * 32


def line_of(members: dict[str, Any] | None = None) -> bytes:
    return sealed(7, "verdict", AT, members if members is not None else {"score": 1.25}, HASH)[0]


@settings(deadline=None)
@given(MEMBERS)
def test_a_record_comes_back_as_it_was_written(members: dict[str, Any]) -> None:
    line, digest = sealed(7, "verdict", AT, members, HASH)
    record = opened(line)
    assert (record.seq, record.kind, record.prev, record.hash) == (7, "verdict", HASH, digest)
    assert time_of(record.time) == AT
    for name, value in members.items():
        assert name == "hash" or record.members[name] == value


@settings(deadline=None)
@given(st.data())
def test_any_byte_that_is_changed_shows(data: st.DataObject) -> None:
    line = line_of()
    place = data.draw(st.integers(0, len(line) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != line[place]))
    with pytest.raises(Damaged):
        opened(line[:place] + bytes([byte]) + line[place + 1 :])


@settings(deadline=None)
@given(st.integers(0, len(line_of()) - 1))
def test_half_a_record_is_none(length: int) -> None:
    with pytest.raises(Damaged):
        opened(line_of()[:length])


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_and_nothing_else_happens(line: bytes) -> None:
    with pytest.raises(Damaged):
        opened(line)


@pytest.mark.parametrize("body", ["[1", '{"seq":"7"', '{"seq":true,"kind":"a","time":"b","prev":"c"', "{" + "[" * 9000])
def test_a_line_with_a_right_hash_that_is_no_record_is_refused(body: str) -> None:
    digest = hashlib.sha256(body.encode()).hexdigest()
    with pytest.raises(Damaged, match="not written as"):
        opened(f'{body},"hash":"{digest}"}}\n'.encode())


def test_the_hash_can_be_checked_without_this_software() -> None:
    line = line_of({"line": "Halle 3, Straße 7"})
    body, seal = line.rsplit(b',"hash":', 1)
    assert json.loads(b"{" + b'"hash":' + seal)["hash"] == hashlib.sha256(body).hexdigest()
    assert json.loads(line)["line"] == "Halle 3, Straße 7"
    assert line.isascii()


def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        sealed(1, "verdict", AT, {"score": float("nan")}, NO_RECORD)


@settings(deadline=None)
@given(st.floats(0, 4e9), st.floats(0, 4e9))
def test_times_as_text_sort_as_times_do(one: float, other: float) -> None:
    assert (time_text(one) <= time_text(other)) or one > other - 0.001
