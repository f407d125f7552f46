"""Images are kept under names that no caller chooses, within a bound, and a changed one shows."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service.audit.images import ImageStore
from service.picture_kind import kind_of

if TYPE_CHECKING:
    from tests.service.audit.conftest import Diary

MORNING = 1_772_344_800.0
DAY_S = 86_400


def picture(number: int, size: int = 100) -> bytes:
    return b"\x89PNG" + bytes([number]) * (size - 4)


def keep(store: ImageStore, data: bytes, at: float = MORNING) -> str | None:
    return store.keep(data, hashlib.sha256(data).hexdigest(), at)


def test_an_image_is_named_after_its_day_its_hash_and_what_it_is(tmp_path: Path) -> None:
    store = ImageStore(tmp_path, 1000, reserve_bytes=0)
    name = keep(store, picture(1))
    assert name == f"images/2026-03-01/{hashlib.sha256(picture(1)).hexdigest()}.png"
    assert (tmp_path / name).read_bytes() == picture(1)
    for path in tmp_path.rglob("*"):
        assert path.stat().st_mode & 0o007 == 0
    assert keep(store, picture(1)) == name
    assert len(list(tmp_path.rglob("*.*"))) == 1


@pytest.mark.parametrize(
    ("data", "ending"), [(b"\xff\xd8\xff", ".jpg"), (b"RIFF", ".webp"), (b"MM\0*", ".tif"), (b"../../x", ".bin")]
)
def test_the_content_decides_on_the_ending(data: bytes, ending: str) -> None:
    assert kind_of(data)[0] == ending


def test_the_oldest_make_room_also_after_a_restart(tmp_path: Path) -> None:
    first = ImageStore(tmp_path, 350, reserve_bytes=0)
    names = [keep(first, picture(number), MORNING + number * DAY_S) for number in range(3)]
    again = ImageStore(tmp_path, 350, reserve_bytes=0)
    names.append(keep(again, picture(3), MORNING + 3 * DAY_S))
    assert [(tmp_path / str(name)).exists() for name in names] == [False, True, True, True]
    assert not (tmp_path / "images" / "2026-03-01").exists()


def test_an_image_over_the_bound_is_not_kept_and_costs_none_of_the_others(tmp_path: Path) -> None:
    store = ImageStore(tmp_path, 350, reserve_bytes=0)
    name = keep(store, picture(1))
    assert keep(store, picture(2, size=351)) is None
    assert (tmp_path / str(name)).exists()


def test_days_that_are_over_are_removed(tmp_path: Path) -> None:
    store = ImageStore(tmp_path, 1000, reserve_bytes=0)
    names = [keep(store, picture(number), MORNING + number * DAY_S) for number in range(3)]
    assert store.remove_before(MORNING + DAY_S) == 1
    assert [(tmp_path / str(name)).exists() for name in names] == [False, True, True]


def test_the_last_of_the_disk_is_left_to_the_records(tmp_path: Path) -> None:
    store = ImageStore(tmp_path, 1000, reserve_bytes=1 << 60)
    with pytest.raises(OSError, match="for the records") as refused:
        keep(store, picture(1))
    assert refused.value.errno == errno.ENOSPC


def test_a_write_that_fails_leaves_no_half_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ImageStore(tmp_path, 1000, reserve_bytes=0)

    def fail(path: Path, target: Path) -> Path:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="Input/output"):
        keep(store, picture(1))
    assert list(tmp_path.rglob("*.*")) == []


def test_verification_finds_a_changed_image_and_counts_removed_ones(diary: Diary) -> None:
    store = ImageStore(diary.chain.folder, 1000, reserve_bytes=0)
    names = []
    for number in range(3):
        data = picture(number)
        names.append(keep(store, data, diary.at))
        members = {"image_sha256": hashlib.sha256(data).hexdigest(), "image_file": names[-1]}
        diary.chain.append("verdict", diary.at, members)
    diary.chain.append("verdict", diary.at, {"image_sha256": "0", "image_file": "../../etc/passwd"})
    diary.stop()
    assert diary.report(images=True).notes == ["kept images: 3 as judged, 0 changed, 0 removed since"]
    (diary.chain.folder / str(names[0])).write_bytes(picture(9))
    (diary.chain.folder / str(names[1])).unlink()
    report = diary.report(images=True)
    assert report.breaks == [f"{names[0]}: is not the image of record 2 any more"]
    assert report.notes == ["kept images: 1 as judged, 1 changed, 1 removed since"]
