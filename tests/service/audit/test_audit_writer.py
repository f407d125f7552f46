"""The writing thread: a disk that is slow, ill or full delays records, drops and tells of some, and ends nothing."""

from __future__ import annotations

import errno
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.audit import writer as writer_module
from service.audit.audit_record import Record, opened
from service.audit.chain import Chain
from service.audit.files import chain_files
from service.audit.growing_file import GrowingFile
from service.audit.pending import ENTRY_BYTES, PendingRecord, PendingRecords
from service.audit.verify import ChainReport, verify
from service.audit.writer import Writer, WriterSettings
from service.metrics import Metrics


class Desk:
    """A writer on its thread, and a disk that can be told what to do."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, *, room: int = 100, image_bytes: int = 0) -> None:
        self.folder = folder
        self.metrics = Metrics()
        self.waiting = PendingRecords(room * ENTRY_BYTES)
        settings = WriterSettings(folder, image_bytes=image_bytes, sync_s=0)
        self.writer = Writer(settings, self.waiting, self.metrics)
        self.thread = threading.Thread(target=self.writer.run, daemon=True)
        self.error: OSError | None = None
        self.go = threading.Event()
        self.go.set()
        self.tries = 0
        write = GrowingFile.write

        def as_told(file: GrowingFile, line: bytes) -> None:
            self.tries += 1
            self.go.wait()
            if self.error is not None:
                raise self.error
            write(file, line)

        patch.setattr(GrowingFile, "write", as_told)
        patch.setattr(writer_module, "RETRY_S", 0.01)

    def judge(self, parts: int = 1, *, size: int = 0, keep: bool = False) -> int:
        """Give so many records in; how many were taken."""
        entries = [
            PendingRecord(time.time(), {"product": "screw", "decision": "NG"}, b"x" * size, keep) for _ in range(parts)
        ]
        return sum(self.waiting.put(entry, self.writer.trouble or "queue") for entry in entries)

    def stop(self) -> None:
        self.go.set()
        self.waiting.close()
        self.writer.hurry()
        if self.thread.ident is not None:
            self.thread.join(60)
            assert not self.thread.is_alive()

    def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            assert self.thread.is_alive()
            time.sleep(0.005)

    def failures(self, reason: str) -> float:
        return self.metrics.value("mkd_audit_failures_total", reason=reason)

    def records(self, chain: str = "chain-00") -> list[Record]:
        return [
            opened(line)
            for path in chain_files(self.folder / chain)
            for line in path.read_bytes().splitlines(keepends=True)
        ]

    def kinds(self) -> list[str]:
        return [record.kind for record in self.records()]

    def report(self) -> ChainReport:
        (report,) = verify(self.folder)
        return report


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    made = Desk(tmp_path / "audit", monkeypatch, room=4)
    yield made
    made.error = None
    made.stop()


def test_a_stop_writes_out_what_waits(desk: Desk) -> None:
    assert desk.judge(4) == 4
    desk.thread.start()
    desk.stop()
    assert desk.kinds() == ["start", *["verdict"] * 4, "stop"]
    assert desk.metrics.value("mkd_audit_records_total", outcome="written") == 4
    assert desk.metrics.value("mkd_audit_queue") == 0
    assert desk.metrics.value("mkd_audit_head", chain="chain-00") == 6
    assert desk.report().breaks == []


def test_a_full_disk_loses_what_finds_no_room_and_the_chain_tells_of_it_when_there_is_space_again(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.thread.start()
    desk.judge()
    desk.until(lambda: desk.metrics.value("mkd_audit_records_total", outcome="written") == 1)
    desk.error = OSError(errno.ENOSPC, "No space left on device")
    assert desk.judge() == 1
    desk.until(lambda: desk.failures("disk_full") >= 2)  # it is tried again
    assert desk.writer.trouble == "disk_full"
    (told,) = [line for line in caplog.records if "cannot be written" in line.message]
    assert told.mkd_fields["detail"] == f"{desk.folder}: No space left on device"  # type: ignore[attr-defined]
    assert desk.judge(10) == 4
    desk.error = None
    desk.until(lambda: desk.writer.trouble is None and not len(desk.waiting))
    desk.judge()
    desk.stop()
    assert desk.kinds() == ["start", *["verdict"] * 6, "gap", "verdict", "stop"]
    gap = desk.records()[7]
    assert (gap.members["lost"], gap.members["reasons"]) == (6, {"disk_full": 6})
    report = desk.report()
    assert report.breaks == []
    assert "6 records were lost" in report.notes[0]


def test_a_disk_that_answers_with_an_error_is_told_apart_from_a_full_one(desk: Desk) -> None:
    desk.thread.start()
    desk.until(lambda: desk.metrics.value("mkd_audit_head", chain="chain-00") == 1)
    desk.error = OSError(errno.EIO, "Input/output error")
    desk.judge()
    desk.until(lambda: desk.failures("disk_error") >= 1)
    assert desk.failures("disk_full") == 0


def test_a_disk_that_hangs_keeps_nobody_from_giving_in_records(desk: Desk) -> None:
    desk.thread.start()
    desk.until(lambda: desk.metrics.value("mkd_audit_head", chain="chain-00") == 1)
    desk.go.clear()
    desk.judge()
    desk.until(lambda: desk.tries >= 2)  # the writer hangs in the write now
    taken = desk.judge(20)  # and this comes back all the same
    assert taken == 4
    desk.stop()
    assert desk.kinds() == ["start", *["verdict"] * 5, "gap", "stop"]
    assert desk.records()[6].members["reasons"] == {"queue": 16}


def test_a_stop_while_the_disk_is_full_gives_up_and_says_so(desk: Desk) -> None:
    desk.thread.start()
    desk.until(lambda: desk.metrics.value("mkd_audit_head", chain="chain-00") == 1)
    desk.error = OSError(errno.ENOSPC, "No space left on device")
    desk.judge(4)
    desk.until(lambda: desk.failures("disk_full") >= 1)
    desk.stop()
    assert desk.kinds() == ["start"]
    assert desk.metrics.value("mkd_audit_records_total", outcome="dropped") == 4


def test_what_was_given_up_is_in_the_record_of_the_stop_where_that_can_be_written(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = Chain.append

    def no_verdicts(chain: Chain, kind: str, at: float, members: object) -> None:
        if kind == "verdict":
            raise OSError(errno.ENOSPC, "No space left on device")
        append(chain, kind, at, members)  # type: ignore[arg-type]

    monkeypatch.setattr(Chain, "append", no_verdicts)
    desk.judge(9)
    desk.thread.start()
    desk.until(lambda: desk.failures("disk_full") >= 1)
    desk.stop()
    assert desk.records()[-1].kind == "stop"
    assert desk.records()[-1].members["lost"] == 9


def test_a_disk_that_is_full_at_the_start_is_written_to_later(desk: Desk) -> None:
    desk.error = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="No space"):
        desk.writer.open()
    desk.thread.start()
    desk.judge()
    desk.until(lambda: desk.failures("disk_full") >= 1)
    desk.error = None
    desk.stop()
    assert desk.kinds() == ["start", "verdict", "stop"]


def test_a_record_that_cannot_be_written_at_all_becomes_a_gap_and_holds_up_nothing(desk: Desk) -> None:
    desk.thread.start()
    desk.judge()
    desk.waiting.put(PendingRecord(time.time(), {"score": float("nan")}, b"", keep=False), "queue")
    desk.judge()
    desk.stop()
    assert desk.kinds() == ["start", "verdict", "gap", "verdict", "stop"]
    assert desk.records()[2].members["reasons"] == {"fault": 1}
    assert desk.failures("fault") == 1


def test_an_image_that_cannot_be_kept_costs_its_record_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(tmp_path / "audit", monkeypatch, image_bytes=1 << 20)
    (tmp_path / "audit" / "chain-00").mkdir(parents=True)
    (tmp_path / "audit" / "chain-00" / "images").write_text("in the way")
    desk.judge(size=100, keep=True)
    desk.thread.start()
    desk.stop()
    assert desk.kinds() == ["start", "verdict", "stop"]
    assert "image_file" not in desk.records()[1].members
    assert desk.failures("image") == 1


def test_a_disk_that_is_really_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if mount is None or umount is None:
        pytest.skip("needs mount")
    mounted = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=False, capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"needs the right to mount a small file system: {mounted.stderr.strip()}")
    try:
        desk = Desk(disk / "audit", monkeypatch)
        desk.thread.start()
        ballast = disk / "ballast"
        desk.until(lambda: desk.metrics.value("mkd_audit_head", chain="chain-00") == 1)
        with pytest.raises(OSError, match="No space"):
            ballast.write_bytes(b"x" * 100_000)
        judged = 0
        while desk.failures("disk_full") == 0:
            judged += desk.judge()
            time.sleep(0.002)
        ballast.unlink()
        desk.stop()
        report = desk.report()
        assert report.breaks == []
        assert report.verdicts == judged
        assert desk.kinds()[-1] == "stop"
    finally:
        subprocess.run([umount, str(disk)], check=True)
