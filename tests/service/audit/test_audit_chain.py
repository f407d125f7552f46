"""A chain goes on over files, restarts, half-written lines and bad disks, and what retention takes leaves a proof."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.audit.audit_record import opened
from service.audit.files import is_held

if TYPE_CHECKING:
    from tests.service.audit.conftest import Diary, OpenDiary


def test_a_restart_goes_on_where_the_stop_was(diary: Diary) -> None:
    diary.judge(3)
    diary.stop()
    diary.restart()
    diary.judge(2)
    diary.stop()
    records = [opened(line) for line in diary.lines()]
    assert [record.seq for record in records] == list(range(1, 10))
    assert [record.kind for record in records] == ["start", *["verdict"] * 3, "stop", "start", *["verdict"] * 2, "stop"]
    assert records[5].members["after"] == "stop"
    report = diary.report()
    assert (report.breaks, report.warnings, report.notes) == ([], [], [])
    assert (report.records, report.verdicts) == (9, 5)


def test_a_killed_process_leaves_half_a_line_which_the_next_cuts_off_and_tells(diary: Diary) -> None:
    diary.judge(3)
    diary.leave()
    with diary.files[-1].open("ab") as file:
        file.write(b'{"seq":5,"ki')
    assert diary.report().breaks == ["0000000001.jsonl line 5: record 5 is half a record"]
    diary.restart()
    assert diary.chain.left_as.torn_bytes == 12
    diary.judge()
    diary.stop()
    report = diary.report()
    assert report.breaks == []
    assert "started after an end without a stop" in report.notes[0]


def test_damaged_lines_at_the_end_stay_as_they_are_and_the_chain_goes_on_in_a_new_file(diary: Diary) -> None:
    diary.judge(4)
    diary.leave()
    damaged = diary.lines()
    damaged[-2:] = [b"\0" * 80 + b"\n", b"what a disk makes of it\n"]
    diary.rewrite(damaged)
    diary.restart()
    diary.stop()
    assert [path.name for path in diary.files] == ["0000000001.jsonl", "0000000006.jsonl"]
    assert diary.files[0].read_bytes() == b"".join(damaged)
    assert [text.split(": ")[1] for text in diary.report().breaks] == [
        "record 4 is no whole record",
        "record 5 is no whole record",
    ]


def test_a_file_that_was_begun_and_never_written_to_is_taken_up_again(diary: Diary) -> None:
    diary.judge()
    diary.leave()
    (diary.chain.folder / "0000000003.jsonl").touch()
    diary.restart()
    diary.stop()
    assert [path.stat().st_size > 0 for path in diary.files] == [True, True]
    assert diary.report().breaks == []


def test_a_file_ends_when_it_is_full_and_with_the_day(open_diary: OpenDiary) -> None:
    diary = open_diary(file_bytes=1000)
    diary.start()
    diary.judge(10)
    assert len(diary.files) > 3
    assert all(path.stat().st_size <= 1000 for path in diary.files)
    before = len(diary.files)
    diary.pass_days(1)
    diary.judge()
    assert len(diary.files) == before + 1
    diary.stop()
    diary.pass_days(1)
    diary.restart()
    assert len(diary.files) == before + 2
    assert diary.report().breaks == []


def test_two_processes_write_two_chains_and_a_third_takes_what_one_left(diary: Diary) -> None:
    other = diary.take()
    assert (diary.chain.name, other.name) == ("chain-00", "chain-01")
    assert is_held(diary.chain.folder)
    diary.stop()
    assert not is_held(diary.chain.folder)
    diary.restart()
    assert diary.chain.name == "chain-00"
    assert other.seq == 0


def test_a_write_that_fails_half_way_leaves_nothing_and_may_be_made_again(
    diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    diary.judge()
    before = diary.files[-1].read_bytes()
    write = os.write
    with monkeypatch.context() as patch:

        def until_the_disk_is_full(handle: int, data: bytes) -> int:
            if len(data) < 100:
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(handle, data[:50])

        patch.setattr(os, "write", until_the_disk_is_full)
        for _ in range(2):
            with pytest.raises(OSError, match="No space"):
                diary.judge()
            assert diary.files[-1].read_bytes() == before
    diary.judge()
    diary.stop()
    assert diary.report().breaks == []
    assert diary.report().records == 4


def test_a_line_that_cannot_be_taken_back_at_once_is_taken_back_before_the_next(
    diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    diary.judge()
    with monkeypatch.context() as patch:

        def ill(handle: int, data: object) -> int:
            raise OSError(errno.EIO, "Input/output error")

        write = os.write
        patch.setattr(os, "write", lambda handle, data: (write(handle, bytes(data)[:30]), ill(handle, 0))[1])
        patch.setattr(os, "ftruncate", ill)
        with pytest.raises(OSError, match="Input/output"):
            diary.judge()
    assert not diary.files[-1].read_bytes().endswith(b"\n")
    diary.judge()
    diary.stop()
    assert diary.report().breaks == []


def test_a_file_that_is_taken_away_while_it_is_written_is_noticed_and_shows(diary: Diary) -> None:
    diary.judge(3)
    diary.files[-1].unlink()
    with pytest.raises(FileNotFoundError, match="taken away"):
        diary.chain.sync()
    diary.judge(2)
    diary.stop()
    assert diary.report().breaks == ["begins at record 5, and no record tells that what was before it was removed"]


def test_retention_by_days_removes_whole_old_files_and_the_rest_proves_itself(open_diary: OpenDiary) -> None:
    diary = open_diary(keep_days=3)
    diary.start()
    for _ in range(6):
        diary.judge(5)
        diary.pass_days(1)
        diary.judge()
        assert diary.chain.remove_old(diary.at) in (0, 1)
    diary.stop()
    report = diary.report()
    assert report.breaks == []
    assert any("removed" in note for note in report.notes)
    assert 3 <= len(diary.files) <= 5


def test_retention_by_bytes_keeps_to_its_bound_but_for_the_file_that_is_written(open_diary: OpenDiary) -> None:
    diary = open_diary(file_bytes=1000, keep_bytes=4000)
    diary.start()
    for _ in range(40):
        diary.judge()
        diary.chain.remove_old(diary.at)
        assert sum(path.stat().st_size for path in diary.files) <= 5000
    assert opened(diary.lines()[0]).seq > 10
    assert diary.report().breaks == []


def test_a_removal_that_was_cut_short_is_no_break(open_diary: OpenDiary, monkeypatch: pytest.MonkeyPatch) -> None:
    diary = open_diary(file_bytes=600, keep_bytes=1200)
    diary.start()
    diary.judge(12)
    left = [path.name for path in diary.files][1:]
    unlink = Path.unlink
    with monkeypatch.context() as patch:

        def only_the_first(path: Path, missing_ok: bool = False) -> None:
            if path.name in left:
                raise OSError(errno.EIO, "Input/output error")
            unlink(path, missing_ok)

        patch.setattr(Path, "unlink", only_the_first)
        with pytest.raises(OSError, match="Input/output"):
            diary.chain.remove_old(diary.at)
    assert opened(diary.lines()[0]).seq > 1
    assert diary.report().breaks == []


def test_a_beginning_that_somebody_else_removed_shows(open_diary: OpenDiary) -> None:
    diary = open_diary(file_bytes=600, keep_bytes=2400)
    diary.start()
    diary.judge(12)
    assert diary.chain.remove_old(diary.at) > 0
    diary.judge(6)
    diary.stop()
    assert diary.report().breaks == []
    for path in diary.files[:3]:
        path.unlink()
    (text,) = diary.report().breaks
    assert "no record tells that what was before it was removed" in text


MOVES = st.lists(st.sampled_from(["judge", "restart", "kill", "tear", "day", "retention"]), max_size=30)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(MOVES)
def test_whatever_happens_to_the_service_the_chain_is_whole(open_diary: OpenDiary, moves: list[str]) -> None:
    diary = open_diary(file_bytes=900, keep_days=2, keep_bytes=2500)
    diary.start()
    judged = 0
    for move in moves:
        if move == "judge":
            diary.judge(3)
            judged += 3
        elif move == "day":
            diary.pass_days(1)
        elif move == "retention":
            diary.chain.remove_old(diary.at)
        else:
            if move == "tear":
                with diary.files[-1].open("ab") as file:
                    file.write(diary.lines()[-1][:40])
            diary.stop() if move == "restart" else diary.leave()
            diary.restart()
    diary.stop()
    report = diary.report()
    assert (report.breaks, report.warnings) == ([], [])
    assert report.verdicts <= judged
    assert "retention" in moves or report.verdicts == judged
