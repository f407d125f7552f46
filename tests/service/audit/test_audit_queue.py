"""What waits to be recorded is bounded by bytes, and what finds no room leaves a gap where it would have stood."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.audit.pending import ENTRY_BYTES, Gap, PendingRecord, PendingRecords


def entry(at: float, size: int = 0) -> PendingRecord:
    return PendingRecord(at, {"part": at}, b"x" * size, keep=False)


def taken(waiting: PendingRecords) -> list[float | tuple[float, float, dict[str, int]]]:
    found: list[float | tuple[float, float, dict[str, int]]] = []
    while (item := waiting.take(0)) is not None:
        found.append(item.at if isinstance(item, PendingRecord) else (item.first, item.last, dict(item.reasons)))
    return found


def test_entries_come_out_in_order() -> None:
    waiting = PendingRecords(1 << 20)
    assert all(waiting.put(entry(at), "queue") for at in range(5))
    assert len(waiting) == 5
    assert taken(waiting) == [0, 1, 2, 3, 4]
    assert len(waiting) == 0


def test_what_finds_no_room_becomes_one_gap_in_its_place() -> None:
    waiting = PendingRecords(2 * ENTRY_BYTES)
    done = [waiting.put(entry(at), "queue") for at in range(2)]
    done += [waiting.put(entry(at), reason) for at, reason in ((2, "queue"), (3, "disk_full"), (4, "disk_full"))]
    assert done == [True, True, False, False, False]
    first = waiting.take(0)
    assert isinstance(first, PendingRecord)
    assert waiting.put(entry(5), "queue")
    assert taken(waiting) == [1, (2, 4, {"queue": 1, "disk_full": 2}), 5]


def test_images_count_and_an_empty_queue_takes_any() -> None:
    waiting = PendingRecords(10_000)
    assert waiting.put(entry(0, size=50_000), "queue")
    assert not waiting.put(entry(1), "queue")
    assert taken(waiting) == [0, (1, 1, {"queue": 1})]
    assert waiting.put(entry(2, size=50_000), "queue")


def test_a_closed_queue_is_written_out_and_takes_nothing_more() -> None:
    waiting = PendingRecords(10_000)
    waiting.put(entry(0), "queue")
    waiting.close()
    assert not waiting.put(entry(1), "queue")
    assert taken(waiting) == [0, (1, 1, {"closed": 1})]


def test_what_is_given_up_is_counted_with_the_gaps_in_it() -> None:
    waiting = PendingRecords(ENTRY_BYTES)
    for at in range(4):
        waiting.put(entry(at), "queue")
    assert waiting.clear() == (1, 3)
    assert waiting.take(0) is None


def test_a_gap_says_how_many_why_and_when() -> None:
    gap = Gap(0.0, 61.5)
    gap.reasons.update(disk_full=2, queue=1)
    assert gap.members() == {
        "lost": 3,
        "reasons": {"disk_full": 2, "queue": 1},
        "from": "1970-01-01T00:00:00.000Z",
        "to": "1970-01-01T00:01:01.500Z",
    }


@settings(deadline=None)
@given(st.lists(st.one_of(st.just("take"), st.integers(0, 4000)), max_size=60))
@pytest.mark.parametrize("max_bytes", [1, 6000])
def test_every_entry_comes_out_or_is_counted_in_a_gap_in_order(max_bytes: int, moves: list[str | int]) -> None:
    waiting = PendingRecords(max_bytes)
    out: list[PendingRecord | Gap] = []
    put = 0
    for move in moves:
        if isinstance(move, int):
            waiting.put(entry(put, size=move), "queue")
            put += 1
        elif (item := waiting.take(0)) is not None:
            out.append(item)
    while (item := waiting.take(0)) is not None:
        out.append(item)
    told = 0
    for item in out:  # parts are numbered by their time, so gaps must fill the holes exactly
        first, count = (item.at, 1) if isinstance(item, PendingRecord) else (item.first, item.lost)
        assert first == told
        told += count
    assert told == put
