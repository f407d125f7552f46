"""Writes files and folders so that a reader finds the old contents or the new, and never a part of them.

Everything is written beside its place under a hidden name, synced to the disk and renamed. What fails leaves the old
contents as they were and nothing beside them. An OSError names the path that was to be written, as a full disk says
only which of its temporary files it could not extend.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FILE_MODE = 0o666  # less the process's umask, as for any new file
FOLDER_MODE = 0o777


def write_bytes(path: Path, data: bytes, *, mode: int = FILE_MODE) -> None:
    """Make `data` the contents of `path`. Raises OSError with that path; the old contents are untouched then."""
    with replace_file(path, mode=mode) as beside:
        beside.write_bytes(data)


def write_text(path: Path, text: str, *, mode: int = FILE_MODE) -> None:
    """As `write_bytes`, in UTF-8."""
    write_bytes(path, text.encode(), mode=mode)


@contextmanager
def replace_file(path: Path, *, mode: int = FILE_MODE) -> Iterator[Path]:
    """For writers that want a file's name: `with replace_file(path) as beside: write(beside)`.

    At the end of the block the file `beside` (which is there, empty, at its beginning) is synced and takes the place of
    `path`; where the block raises, `path` stays as it was. Folders above `path` are made. Raises OSError with `path`.
    """
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        beside = Path(name)
        try:
            yield beside
            beside.chmod(mode & ~_umask())
            sync(beside)
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)
        sync(path.parent)


@contextmanager
def replace_folder(path: Path) -> Iterator[Path]:
    """The same for a whole folder: `with replace_folder(path) as beside: ...` fills the new folder `beside`.

    At the end of the block every file in it is synced and it takes the place of `path`. A folder that is there steps
    aside first and returns where the renaming fails, so for a moment between two renames there is none. Raises OSError
    with `path`; the old folder is untouched then.
    """
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            yield beside
            beside.chmod(FOLDER_MODE & ~_umask())
            for folder, _, names in os.walk(beside):
                for name in names:
                    sync(Path(folder, name))
                sync(Path(folder))
            _take_the_place_of(path, beside)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        sync(path.parent)


def sync(path: Path) -> None:
    """Have the disk hold this file, or the names in this folder. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _take_the_place_of(path: Path, beside: Path) -> None:
    if not path.exists():
        os.rename(beside, path)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
    try:
        os.rename(path, aside / path.name)
        try:
            os.rename(beside, path)
        except OSError:
            os.rename(aside / path.name, path)
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno is None or not _is_ours(error.filename, path):
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from error


def _is_ours(found: object, path: Path) -> bool:
    """Whether an error that names `found` is about writing `path`, and not about what the caller's block reads."""
    if found is None or Path(str(found)) in (path, *path.parents):
        return True
    return str(found).startswith(str(path.parent / f".{path.name}."))


def _umask() -> int:
    """The process's umask, which can only be read by setting it; from /proc where there is one, as that is safe."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(next(line for line in status.splitlines() if line.startswith("Umask:")).split()[1], 8)
    except (OSError, StopIteration, ValueError):
        mask = os.umask(0o022)
        os.umask(mask)
        return mask
