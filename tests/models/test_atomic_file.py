"""Files and folders are replaced as a whole or not at all, and a failure names the path that was asked for."""

from __future__ import annotations

import errno
import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from models.atomic_file import replace_file, replace_folder, write_bytes, write_text


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_is_written_with_the_folders_above_it_and_nothing_beside_it(tmp_path: Path) -> None:
    write_text(tmp_path / "a/b/word.txt", "grüß")
    assert (tmp_path / "a/b/word.txt").read_text(encoding="utf-8") == "grüß"
    assert names(tmp_path / "a/b") == ["word.txt"]


def test_a_new_file_has_the_mode_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_bytes(tmp_path / "ours", b"x")
    write_bytes(tmp_path / "secret", b"x", mode=0o600)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "ours", "secret")]
    assert modes[0] == modes[1]
    assert modes[2] == 0o600


def half_written(beside: Path) -> None:
    beside.write_bytes(b"new")
    raise ZeroDivisionError


def test_a_block_that_raises_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_bytes(file, b"old")
    with pytest.raises(ZeroDivisionError), replace_file(file) as beside:
        half_written(beside)
    assert file.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def full_disk(beside: Path, data: bytes) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(beside))


def test_a_full_disk_names_the_path_and_leaves_the_old_contents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    write_bytes(file, b"old")
    with replace_folder(folder) as beside:
        (beside / "one").write_bytes(b"old")
    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left") as refused:
        write_bytes(file, b"new")
    assert (refused.value.errno, refused.value.filename) == (errno.ENOSPC, str(file))
    with pytest.raises(OSError, match="No space left") as refused, replace_folder(folder) as beside:
        (beside / "one").write_bytes(b"new")
    assert refused.value.filename == str(folder)
    assert (file.read_bytes(), (folder / "one").read_bytes()) == (b"old", b"old")
    assert names(tmp_path) == ["file", "folder"]


def test_a_file_larger_than_the_system_allows_is_refused_by_its_own_path(tmp_path: Path) -> None:
    # The kernel's own refusal, of a process that may write 1,000 bytes a file.
    code = f"""
import pathlib, resource, signal
from models.atomic_file import write_bytes
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_bytes(pathlib.Path({str(tmp_path / "file")!r}), b"x" * 2000)
except OSError as error:
    print(error.filename)
"""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000
    path = os.pathsep.join(entry for entry in [os.getcwd(), *sys.path] if entry)
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == str(tmp_path / "file")
    assert names(tmp_path) == []


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for word in ("old", "new"):
        with replace_folder(folder) as beside:
            (beside / word).mkdir()
            (beside / word / "file").write_text(word)
    assert names(folder) == ["new"]
    assert names(tmp_path) == ["folder"]
    assert stat.S_IMODE(folder.stat().st_mode) & 0o500 == 0o500


def test_a_folder_returns_where_the_renaming_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "folder"
    with replace_folder(folder) as beside:
        (beside / "old").touch()
    real = os.rename

    def rename(source: Path, target: Path) -> None:
        if target == folder and ".old." not in str(source):
            raise OSError(errno.EIO, "Input/output error", str(source))
        real(source, target)

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(OSError, match="Input/output") as refused, replace_folder(folder) as beside:
        (beside / "new").touch()
    assert refused.value.filename == str(folder)
    assert names(folder) == ["old"]
    assert names(tmp_path) == ["folder"]


def test_an_error_about_another_file_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="source"), replace_file(tmp_path / "goal") as beside:
        beside.write_bytes((tmp_path / "source").read_bytes())
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file/below/word") as refused:
        write_text(tmp_path / "file/below/word", "x")
    assert refused.value.filename == str(tmp_path / "file/below/word")
