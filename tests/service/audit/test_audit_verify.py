"""Verification says where a chain breaks; what only a log can validate shows with the log."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.audit.audit_record import opened, sealed
from service.audit.verify import heads_in, verify

if TYPE_CHECKING:
    from tests.service.audit.conftest import Diary, OpenDiary

ONE_FOLDER = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
JUDGED = 8


@pytest.fixture
def written(diary: Diary) -> Diary:
    """A start, eight verdicts, a stop: records 1 to 10 in one file."""
    diary.judge(JUDGED)
    diary.stop()
    return diary


def test_an_untouched_chain_is_whole(written: Diary) -> None:
    report = written.report()
    assert (report.records, report.verdicts, report.files) == (10, JUDGED, 1)
    assert (report.breaks, report.warnings, report.notes) == ([], [], [])
    assert report.last is not None
    assert report.last.hash == written.chain.head


def test_a_changed_record_shows_at_its_line(written: Diary) -> None:
    lines = written.lines()
    lines[4] = lines[4].replace(b'"decision":"OK"', b'"decision":"NG"')
    written.rewrite(lines)
    assert written.report().breaks == [
        "0000000001.jsonl line 5: record 5 has been changed: its bytes do not give its hash"
    ]


def test_a_removed_record_shows(written: Diary) -> None:
    lines = written.lines()
    written.rewrite(lines[:4] + lines[5:])
    assert written.report().breaks == ["0000000001.jsonl line 5: record 5 is missing before this one"]


def test_two_records_that_changed_places_show(written: Diary) -> None:
    lines = written.lines()
    lines[4], lines[5] = lines[5], lines[4]
    written.rewrite(lines)
    assert written.report().breaks == [
        "0000000001.jsonl line 5: record 5 is missing before this one",
        "0000000001.jsonl line 6: record 5 is out of place, behind record 6",
    ]


def test_a_record_that_was_replaced_with_one_that_has_a_right_hash_shows_at_the_next(written: Diary) -> None:
    lines = written.lines()
    old = opened(lines[4])
    members = {name: old.members[name] for name in ("request_id", "product", "score")} | {"decision": "NG"}
    lines[4] = sealed(old.seq, "verdict", written.at, members, old.prev)[0]
    written.rewrite(lines)
    assert written.report().breaks == [
        "0000000001.jsonl line 6: record 6 does not follow record 5: one of them was replaced"
    ]


def test_a_file_that_was_cut_in_the_middle_of_a_chain_shows(open_diary: OpenDiary) -> None:
    diary = open_diary(file_bytes=800)
    diary.start()
    diary.judge(12)
    diary.stop()
    cut = diary.files[1]
    cut.write_bytes(b"".join(cut.read_bytes().splitlines(keepends=True)[:-1]))
    (text,) = diary.report().breaks
    assert text.startswith(f"{diary.files[2].name} line 1: record ")
    assert "missing before this one" in text


def test_a_file_that_is_missing_in_the_middle_shows(open_diary: OpenDiary) -> None:
    diary = open_diary(file_bytes=800)
    diary.start()
    diary.judge(12)
    diary.stop()
    diary.files[1].unlink()
    (text,) = diary.report().breaks
    assert "are missing before this one" in text


@ONE_FOLDER
@given(st.data())
def test_any_change_removal_or_move_of_lines_shows(written: Diary, data: st.DataObject) -> None:
    before = written.lines()
    lines = list(before)
    places = st.integers(0, len(lines) - 1)
    how = data.draw(st.sampled_from(["byte", "remove", "swap", "double", "insert"]))
    place, other = data.draw(st.tuples(places, places).filter(lambda two: two[0] != two[1]))
    if how == "byte":
        byte = data.draw(st.integers(0, len(lines[place]) - 1))
        lines[place] = lines[place][:byte] + bytes([lines[place][byte] ^ 1]) + lines[place][byte + 1 :]
    elif how == "remove":
        del lines[min(place, len(lines) - 2)]  # the end has tests of its own
    elif how == "swap":
        lines[place], lines[other] = lines[other], lines[place]
    elif how == "double":
        lines.insert(other, lines[place])
    else:
        lines.insert(place, data.draw(st.binary(min_size=1, max_size=40)) + b"\n")
    written.rewrite(lines)
    try:
        assert written.report().breaks
    finally:
        written.rewrite(before)
    assert written.report().breaks == []


@pytest.mark.parametrize("kept", range(1, JUDGED + 2))
def test_an_end_cut_off_between_records_warns_and_is_proved_by_the_log(written: Diary, kept: int) -> None:
    heads = {"chain-00": {10: {written.chain.head}}}
    assert written.report(heads).breaks == []
    written.rewrite(written.lines()[:kept])
    alone = written.report()
    assert alone.breaks == []
    assert "ends without a stop record" in alone.warnings[0]
    (text,) = written.report(heads).breaks
    assert text == f"ends at record {kept}, and the log names record 10: the end has been cut off"


def test_an_end_cut_off_within_a_record_shows_by_itself(written: Diary) -> None:
    written.rewrite([*written.lines()[:-1], written.lines()[-1][:-1]])
    assert written.report().breaks == ["0000000001.jsonl line 10: record 10 is half a record"]


def test_a_chain_that_was_written_anew_shows_by_the_log_alone(written: Diary) -> None:
    heads = {"chain-00": {7: {opened(written.lines()[6]).hash}}}
    assert written.report(heads).breaks == []
    shutil.rmtree(written.folder)
    written.restart()
    written.judge(JUDGED + 1)
    written.stop()
    assert written.report().breaks == []
    (text,) = written.report(heads).breaks
    assert text.endswith("record 7 is not the one that the log names: it has been written anew")


def test_a_chain_that_is_gone_shows_by_the_log_alone(written: Diary) -> None:
    reports = verify(written.folder, {"chain-01": {5: {"ab" * 32}}})
    assert [(report.name, bool(report.breaks)) for report in reports] == [("chain-00", False), ("chain-01", True)]


def test_heads_that_retention_has_removed_are_not_missed(open_diary: OpenDiary) -> None:
    diary = open_diary(file_bytes=600, keep_bytes=1200)
    diary.start()
    heads = {"chain-00": {1: {diary.chain.head}}}
    diary.judge(12)
    assert diary.chain.remove_old(diary.at) > 0
    diary.stop()
    assert diary.report(heads).breaks == []


def test_a_chain_that_is_being_written_may_end_in_half_a_line(diary: Diary) -> None:
    diary.judge()
    with diary.files[-1].open("ab") as file:
        file.write(b'{"seq":3,')
    report = diary.report()
    assert report.breaks == []
    assert report.warnings == []
    assert report.notes == ["is being written now"]


def test_gaps_removals_and_stops_with_losses_are_told(diary: Diary) -> None:
    gap = {"lost": 3, "reasons": {"disk_full": 3}, "from": "2026-03-01T06:00:00.000Z", "to": "2026-03-01T06:00:09.000Z"}
    diary.chain.append("gap", diary.at, gap)
    diary.chain.append("stop", diary.at, {"lost": 2})
    diary.leave()
    gap_note, stop_note = diary.report().notes
    assert gap_note.endswith("from 2026-03-01T06:00:00.000Z to 2026-03-01T06:00:09.000Z (disk_full)")
    assert stop_note.endswith("stopped, 2 records lost before it")


def test_heads_are_found_in_a_log_whatever_stands_before_and_between_them() -> None:
    head = {"event": "audit head", "chain": "chain-00", "seq": 5, "hash": "ab"}
    log = ["no json", "mkd-1 | " + json.dumps(head), json.dumps(head | {"seq": 6}), '{"event": "audit head"', "[]"]
    log += [json.dumps({"event": "request", "context": {"part_id": '"audit head"'}}), json.dumps({"event": "stopped"})]
    assert heads_in(log) == {"chain-00": {5: {"ab"}, 6: {"ab"}}}
