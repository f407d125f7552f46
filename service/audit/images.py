"""Keeps images as files under the chain's `images/`, named after day and hash, within a bound of bytes.

No part of a name comes from a caller. What is over the bound goes, the oldest first; the record of such an image stays,
with its hash.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from service.audit.audit_record import time_text
from service.audit.files import FILE_MODE, FOLDER_MODE
from service.picture_kind import kind_of

FOLDER = "images"
RESERVE_BYTES = 64 << 20  # of the disk, left to the records: an image is worth less than the record of its verdict


@dataclass(frozen=True)
class Kept:
    """One image on disk."""

    path: Path
    size: int


class ImageStore:
    """The images kept beside one chain. For one thread."""

    def __init__(self, chain: Path, max_bytes: int, reserve_bytes: int = RESERVE_BYTES) -> None:
        self._chain = chain
        self._max_bytes = max_bytes
        self._reserve_bytes = reserve_bytes
        self._kept = deque(kept_images(chain))
        self._bytes = sum(image.size for image in self._kept)

    def keep(self, data: bytes, digest: str, at: float) -> str | None:
        """Write the image unless it is there; its path from the chain's folder, None where the bound is too small.

        Raises OSError, ENOSPC also where only the reserve is left.
        """
        if len(data) > self._max_bytes:
            return None
        day = self._chain / FOLDER / time_text(at)[:10]
        path = day / (digest + kind_of(data)[0])
        if not path.exists():
            self._make_room(len(data))
            for folder in (day.parent, day):
                folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
            self._refuse_the_reserve(day, len(data))
            _write(path, data)
            self._kept.append(Kept(path, len(data)))
            self._bytes += len(data)
        return path.relative_to(self._chain).as_posix()

    def remove_before(self, at: float) -> int:
        """Remove the days that ended before `at`; gives the number of images."""
        day = time_text(at)[:10]
        removed = 0
        while self._kept and self._kept[0].path.parent.name < day:
            self._remove_oldest()
            removed += 1
        return removed

    def _make_room(self, size: int) -> None:
        while self._kept and self._bytes + size > self._max_bytes:
            self._remove_oldest()

    def _remove_oldest(self) -> None:
        image = self._kept.popleft()
        self._bytes -= image.size
        image.path.unlink(missing_ok=True)
        with suppress(OSError):  # it is not empty yet
            image.path.parent.rmdir()

    def _refuse_the_reserve(self, folder: Path, size: int) -> None:
        disk = os.statvfs(folder)
        if disk.f_bavail * disk.f_frsize < self._reserve_bytes + size:
            raise OSError(errno.ENOSPC, "what is left of the disk is for the records")


def kept_images(chain: Path) -> list[Kept]:
    """What is kept beside a chain, oldest first; none where there is no such folder."""
    found = [path for path in (chain / FOLDER).glob("*/*") if path.is_file() and not path.is_symlink()]
    states = [(path.parent.name, path.stat().st_mtime, path, path.stat().st_size) for path in found]
    return [Kept(path, size) for _, _, path, size in sorted(states)]


def _write(path: Path, data: bytes) -> None:
    """All of the file or none of it."""
    part = path.with_suffix(".part")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        part.rename(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
