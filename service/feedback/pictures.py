"""Keeps pictures as files under days, named at random: `2026-03-01/0f3a...png`. No part of a name comes from a caller.

A picture is written before the row that names it, so a row never names half a picture; a file that no row names is left
by a process that died in between, and retention removes it.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from service.picture_kind import kind_of

FOLDER = "pictures"
FOLDER_MODE = 0o750
FILE_MODE = 0o640
RESERVE_BYTES = 64 << 20  # of the disk, left to the database
_NAME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}/[0-9a-f]{32}\.[a-z]{3,4}")


class PictureFolder:
    """The kept pictures of one store. Every method but `names` raises OSError where the disk does."""

    def __init__(self, folder: Path, reserve_bytes: int = RESERVE_BYTES) -> None:
        self.path = folder / FOLDER
        self._reserve_bytes = reserve_bytes

    def keep(self, data: bytes, at: float) -> str:
        """Write the picture; its name. ENOSPC also where only the reserve is left. `at` is in seconds since 1970."""
        name = f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}/{secrets.token_hex(16)}{kind_of(data)[0]}"
        path = self.path / name
        path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        self._refuse_the_reserve(path.parent, len(data))
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return name

    def read(self, name: str, size: int) -> bytes:
        """The picture; FileNotFoundError also where less than `size` bytes of it have survived a power cut."""
        data = self._path_of(name).read_bytes()
        if len(data) != size:
            raise FileNotFoundError(errno.ENOENT, "is not whole", name)
        return data

    def remove(self, name: str) -> None:
        """Remove the picture, and its day where it was the last one. One that is gone already is no error."""
        path = self._path_of(name)
        path.unlink(missing_ok=True)
        with suppress(OSError):  # it is not empty yet
            path.parent.rmdir()

    def names(self, before: float) -> Iterator[str]:
        """Names of all pictures that were last written before a time, in seconds since 1970."""
        for path in self.path.glob("*/*"):
            name = path.relative_to(self.path).as_posix()
            with suppress(OSError):  # gone meanwhile
                if _NAME.fullmatch(name) and path.stat().st_mtime < before:
                    yield name

    def _path_of(self, name: str) -> Path:
        if _NAME.fullmatch(name) is None:
            raise FileNotFoundError(errno.ENOENT, "is no name of a picture", name)
        return self.path / name

    def _refuse_the_reserve(self, folder: Path, size: int) -> None:
        disk = os.statvfs(folder)
        if disk.f_bavail * disk.f_frsize < self._reserve_bytes + size:
            raise OSError(errno.ENOSPC, "what is left of the disk is for the verdicts", str(folder))
