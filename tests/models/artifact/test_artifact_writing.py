"""Written whole or not at all: a full disk leaves the old artifact as it was and nothing beside it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from models.artifact import TENSORS, Artifact, ArtifactError, load_artifact, write_artifact
from models.calibration.conformal import Calibration


def write(path: Path, artifact: Artifact, version: str) -> Artifact:
    golden = [(artifact.path / record.file).read_bytes() for record in artifact.manifest.golden]
    return write_artifact(path, artifact.manifest.model_copy(update={"version": version}), artifact.head, golden)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def full_disk_at(call: int) -> Callable[[Path, bytes], int]:
    """Path.write_bytes on a disk that has room for half of the file of that number."""
    calls, real = iter(range(100)), Path.write_bytes

    def write_bytes(file: Path, data: bytes) -> int:
        if next(calls) == call:
            real(file, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(file, data)

    return write_bytes


@pytest.mark.parametrize("call", range(6))
def test_a_disk_that_gets_full_leaves_the_old_artifact_and_no_leftovers(
    bolt: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    old = write(tmp_path / "bolt", bolt, "old")
    monkeypatch.setattr(Path, "write_bytes", full_disk_at(call))
    with pytest.raises(ArtifactError, match="cannot be written: No space left on device") as caught:
        write(tmp_path / "bolt", bolt, "new")
    assert caught.value.file == tmp_path / "bolt"
    assert names(tmp_path) == ["bolt"]
    assert load_artifact(tmp_path / "bolt").sha256 == old.sha256


def test_a_disk_that_gets_full_leaves_nothing_where_nothing_was(
    bolt: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "write_bytes", full_disk_at(2))
    with pytest.raises(ArtifactError):
        write(tmp_path / "bolt", bolt, "new")
    assert names(tmp_path) == []


def test_a_renaming_that_fails_brings_the_old_artifact_back(
    bolt: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = write(tmp_path / "bolt", bolt, "old")
    rename = os.rename

    def failing(source: Path, target: Path) -> None:
        if Path(target) == tmp_path / "bolt" and ".old." not in str(source):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(ArtifactError, match="cannot be written"):
        write(tmp_path / "bolt", bolt, "new")
    monkeypatch.undo()
    assert names(tmp_path) == ["bolt"]
    assert load_artifact(tmp_path / "bolt").sha256 == old.sha256


def test_a_new_artifact_replaces_the_old_one_whole(bolt: Artifact, tmp_path: Path) -> None:
    write(tmp_path / "bolt", bolt, "old")
    (tmp_path / "bolt" / "left-over.txt").write_text("of the old one")
    assert write(tmp_path / "bolt", bolt, "new").manifest.version == "new"
    assert names(tmp_path) == ["bolt"]
    assert not (tmp_path / "bolt" / "left-over.txt").exists()


def test_it_is_read_back_before_it_gets_its_name(
    bolt: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that the disk lost on the way are noticed while the old artifact still stands."""
    old = write(tmp_path / "bolt", bolt, "old")
    real = Path.write_bytes

    def lossy(file: Path, data: bytes) -> int:
        return real(file, data[:-1] if file.name == TENSORS else data)

    monkeypatch.setattr(Path, "write_bytes", lossy)
    with pytest.raises(ArtifactError, match="SHA-256"):
        write(tmp_path / "bolt", bolt, "new")
    assert names(tmp_path) == ["bolt"]
    assert load_artifact(tmp_path / "bolt").sha256 == old.sha256


def test_folders_on_the_way_are_made_and_the_artifact_can_be_read_by_others(bolt: Artifact, tmp_path: Path) -> None:
    path = write(tmp_path / "artifacts" / "bolt" / "2", bolt, "2").path
    assert path.stat().st_mode & 0o777 == 0o755
    assert {file.stat().st_mode & 0o444 for file in path.rglob("*") if file.is_file()} == {0o444}


def test_a_place_that_cannot_be_written_is_named(bolt: Artifact, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(ArtifactError, match="cannot be written") as caught:
        write(tmp_path / "taken" / "bolt", bolt, "new")
    assert caught.value.file == tmp_path / "taken" / "bolt"


def test_a_manifest_that_says_nan_is_never_written(bolt: Artifact, tmp_path: Path) -> None:
    """Built past its own checks, it fails when it is read back."""
    calibration = Calibration.model_construct(**{**dict(bolt.calibration), "scores": (float("nan"),)})
    golden = [(bolt.path / record.file).read_bytes() for record in bolt.manifest.golden]
    with pytest.raises(ArtifactError):
        write_artifact(
            tmp_path / "bolt", bolt.manifest.model_copy(update={"calibration": calibration}), bolt.head, golden
        )
    assert names(tmp_path) == []
