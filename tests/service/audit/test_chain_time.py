"""A clock that jumps makes no record old, ends no daily file and is told of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service.audit.audit_record import opened
from service.audit.chain import DAY_S, ChainLimits
from service.audit.chain_time import JUMP_S, Kept, clock_jump, kept
from service.audit.pending import PendingRecords
from service.audit.writer import Writer, WriterSettings
from service.metrics import Metrics
from tests.service.audit.conftest import MORNING

if TYPE_CHECKING:
    from tests.service.audit.conftest import Diary, OpenDiary

YEARS = 5 * 365


def days_of_work(diary: Diary, days: int) -> None:
    for _ in range(days):
        diary.judge(2)
        diary.chain.remove_old(diary.at)
        diary.pass_days(1)


def test_a_start_with_a_clock_years_ahead_removes_nothing(open_diary: OpenDiary) -> None:
    diary = open_diary(keep_days=7)
    diary.start()
    days_of_work(diary, 5)
    diary.stop()
    before = [path.name for path in diary.files]
    diary.pass_days(YEARS)
    diary.restart()
    days_of_work(diary, 2)
    assert [path.name for path in diary.files][: len(before)] == before


def test_after_the_clock_is_mended_days_get_files_again_and_old_ones_go_in_their_time(open_diary: OpenDiary) -> None:
    diary = open_diary(keep_days=7)
    diary.start()
    days_of_work(diary, 3)
    diary.stop()
    diary.pass_days(YEARS)
    diary.restart()
    diary.judge()
    diary.stop()
    diary.pass_days(1 - YEARS)
    diary.restart()
    count = len(diary.files)
    days_of_work(diary, 3)
    assert len(diary.files) == count + 2
    days_of_work(diary, 9)
    assert not any("2031" in opened(path.read_bytes().splitlines(True)[0]).time for path in diary.files)
    assert 7 <= len(diary.files) <= 9
    diary.stop()
    assert diary.report().breaks == []


def test_records_of_one_midnight_share_a_file_in_either_order(open_diary: OpenDiary) -> None:
    diary = open_diary()
    diary.start()
    diary.pass_days(0.75)
    diary.judge()
    files = len(diary.files)
    diary.at -= 10
    diary.judge()
    assert len(diary.files) == files


def test_what_is_kept_goes_by_the_time_between_files() -> None:
    times = [MORNING + day * DAY_S for day in range(5)]
    now = times[-1] + DAY_S / 2
    assert kept(times, now, 10 * DAY_S) is None
    assert kept(times, now, 2 * DAY_S) == Kept(2, now - 2 * DAY_S)
    assert kept(times, now + YEARS * DAY_S, 2 * DAY_S) == Kept(1, times[4] - 2 * DAY_S)
    assert kept([*times[:4], None], now, 2 * DAY_S) == Kept(2, now - 2 * DAY_S)


@pytest.mark.parametrize("days", [YEARS, -YEARS])
def test_a_jump_is_known_now_and_as_long_as_the_file_that_began_with_it_is_the_newest(days: int) -> None:
    jumped = MORNING + days * DAY_S
    assert clock_jump([MORNING], MORNING, jumped) == days * DAY_S
    assert clock_jump([MORNING, jumped], jumped, jumped + 60) == days * DAY_S
    assert clock_jump([jumped, jumped + DAY_S], jumped + DAY_S, jumped + DAY_S) == 0
    assert clock_jump([MORNING], MORNING, MORNING + JUMP_S) == 0
    assert clock_jump([], None, MORNING) == 0


def test_the_writer_tells_of_a_jump_by_its_metric_and_keeps_images_and_records(tmp_path: Path) -> None:
    metrics, settings = Metrics(), WriterSettings(tmp_path, ChainLimits(keep_days=7), image_bytes=1 << 20)

    def run(at: float) -> None:
        waiting = PendingRecords(1 << 20)
        waiting.close()
        writer = Writer(settings, waiting, metrics, lambda: at)
        writer.open()
        writer.run()

    for day in range(3):
        run(MORNING + day * DAY_S)
    image = tmp_path / "chain-00" / "images" / "2026-03-01" / "a.png"
    image.parent.mkdir(parents=True)
    image.write_bytes(b"x")
    assert metrics.value("mkd_audit_clock_jump_seconds") == 0
    files = sorted(path.name for path in (tmp_path / "chain-00").glob("*.jsonl"))
    run(MORNING + YEARS * DAY_S)
    assert metrics.value("mkd_audit_clock_jump_seconds") > JUMP_S
    assert sorted(path.name for path in (tmp_path / "chain-00").glob("*.jsonl"))[:3] == files
    assert image.exists()
    run(MORNING + 20 * DAY_S)
    for day in range(21, 27):
        run(MORNING + day * DAY_S)
        assert metrics.value("mkd_audit_clock_jump_seconds") == 0
    assert not image.exists()
