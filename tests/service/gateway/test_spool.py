"""The spool keeps what was put, in order, and says when the disk is full; signatures agree with the example."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from examples.webhook_receiver import is_signed
from service.gateway.outputs.signing import signature
from service.gateway.outputs.spool import Spool, SpoolError


def test_messages_come_back_in_order_after_the_file_was_opened_anew(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s.sqlite", 10)
    for number in range(3):
        spool.put(str(number).encode())
    spool.close()
    spool = Spool(tmp_path / "s.sqlite", 10)
    seen = []
    while (message := spool.after()) is not None:
        seen.append(message.body)
        assert spool.remove(message.id)
    assert seen == [b"0", b"1", b"2"]
    spool.put(b"3")
    last = spool.after()
    assert last is not None
    assert last.id == 4  # never used twice: a receiver tells repetitions by it
    spool.close()


def test_over_its_limit_the_oldest_are_dropped_and_counted(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s.sqlite", 2)
    assert [spool.put(bytes([number])) for number in range(4)] == [0, 0, 1, 1]
    first = spool.after()
    assert first is not None
    assert first.body == bytes([2])
    spool.close()


def test_a_full_disk_is_told_and_its_end_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite itself says `database or disk is full` once it may not take another page."""
    connections: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def kept(*given: object, **named: object) -> sqlite3.Connection:
        connections.append(connect(*given, **named))  # type: ignore[call-overload]
        return connections[-1]

    monkeypatch.setattr(sqlite3, "connect", kept)
    spool = Spool(tmp_path / "s.sqlite", 10)
    connections[0].execute("PRAGMA max_page_count = 4")
    with pytest.raises(SpoolError, match="full"):
        spool.put(bytes(100_000))
    with pytest.raises(SpoolError, match="full"):
        spool.probe()
    assert len(spool) == 0
    connections[0].execute("ROLLBACK") if connections[0].in_transaction else None
    connections[0].execute("PRAGMA max_page_count = 100000")
    spool.probe()
    assert spool.put(b"x") == 0
    spool.close()


def test_the_example_takes_our_signature_and_no_other() -> None:
    signed = signature("secret", 1000, b"body")
    assert is_signed("secret", "1000", signed, b"body", now=1100)
    assert not is_signed("secret", "1000", signed, b"other", now=1100)
    assert not is_signed("other", "1000", signed, b"body", now=1100)
    assert not is_signed("secret", "1001", signed, b"body", now=1100)
    assert not is_signed("secret", "1000", signed, b"body", now=2000)
    assert not is_signed("secret", "now", signed, b"body", now=1100)
    assert not is_signed("secret", "1000", "v1=ü", b"body", now=1100)
