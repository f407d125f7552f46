"""A record is read only as it was written, under exactly its conditions, and from a folder that takes it back."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from pydantic import BaseModel

from models.kept_records import KeptRecords


class Fact(BaseModel):
    number: int


@pytest.fixture
def records(tmp_path: Path) -> KeptRecords[Fact]:
    return KeptRecords(tmp_path / "facts", Fact)


def only_file(folder: Path) -> Path:
    (file,) = (folder / "facts").iterdir()
    return file


def test_what_was_kept_is_found_under_its_conditions_alone(records: KeptRecords[Fact]) -> None:
    assert records.find("on this machine") is None
    assert records.keep("on this machine", Fact(number=7))
    assert records.find("on this machine") == Fact(number=7)
    assert records.find("on that machine") is None


def test_the_newest_fact_counts_until_it_is_forgotten(records: KeptRecords[Fact]) -> None:
    records.keep("here", Fact(number=7))
    records.keep("here", Fact(number=8))
    assert records.find("here") == Fact(number=8)
    records.forget("here")
    records.forget("here")
    assert records.find("here") is None


def test_a_changed_fact_is_none(records: KeptRecords[Fact], tmp_path: Path) -> None:
    records.keep("here", Fact(number=7))
    text = only_file(tmp_path).read_text()
    assert "7}" in text
    only_file(tmp_path).write_text(text.replace("7}", "8}"))
    assert records.find("here") is None


@pytest.mark.parametrize("contents", [b"", b"{", b'{"number": 7}', b"\xff\x00"])
def test_a_file_that_is_no_record_is_none(records: KeptRecords[Fact], tmp_path: Path, contents: bytes) -> None:
    records.keep("here", Fact(number=7))
    only_file(tmp_path).write_bytes(contents)
    assert records.find("here") is None


def test_a_record_under_another_ones_name_is_none(records: KeptRecords[Fact], tmp_path: Path) -> None:
    records.keep("here", Fact(number=7))
    here = only_file(tmp_path)
    data = here.read_bytes()
    here.unlink()
    records.keep("there", Fact(number=8))
    only_file(tmp_path).write_bytes(data)
    assert records.find("there") is None


def test_a_folder_that_cannot_be_made_costs_the_record_alone(tmp_path: Path) -> None:
    (tmp_path / "facts").write_text("a file")
    records = KeptRecords(tmp_path / "facts", Fact)
    assert not records.keep("here", Fact(number=7))
    assert records.find("here") is None


def test_a_folder_that_cannot_be_written_is_not_read(
    records: KeptRecords[Fact], monkeypatch: pytest.MonkeyPatch
) -> None:
    records.keep("here", Fact(number=7))
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # root may write everywhere
    assert records.find("here") is None


def test_what_is_not_read_need_not_be_taken_back(records: KeptRecords[Fact], monkeypatch: pytest.MonkeyPatch) -> None:
    records.keep("here", Fact(number=7))

    def refuses(path: Path, *, missing_ok: bool) -> None:
        raise OSError(errno.EROFS, "read-only file system", str(path))

    monkeypatch.setattr(Path, "unlink", refuses)
    with pytest.raises(OSError, match="read-only"):
        records.forget("here")
    records.forget("there")  # nothing is kept of it
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    records.forget("here")


def test_the_oldest_records_go(tmp_path: Path) -> None:
    records = KeptRecords(tmp_path, Fact, most=2)
    for number in range(3):
        records.keep(str(number), Fact(number=number))
        for place, file in enumerate(sorted(tmp_path.iterdir(), key=lambda one: one.stat().st_mtime_ns)):
            os.utime(file, (place, place))
    assert [records.find(str(number)) is None for number in range(3)] == [True, False, False]
