"""A file that grows by whole lines and ends with one whatever happens: a write that failed leaves nothing."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from service.audit.files import FILE_MODE, sync_folder

_OPEN = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


class GrowingFile:
    """One file of a chain, written at its end only."""

    def __init__(self, path: Path, handle: int, size: int) -> None:
        self.path = path
        self.size = size  # of the whole lines
        self._handle = handle
        self._is_clean = True  # nothing lies behind the whole lines
        self._is_synced = True

    @classmethod
    def begin(cls, path: Path) -> GrowingFile:
        """A new file; raises OSError, also where there is one of that name."""
        handle = os.open(path, _OPEN | os.O_CREAT | os.O_EXCL, FILE_MODE)
        try:
            sync_folder(path.parent)
        except OSError:
            os.close(handle)
            path.unlink(missing_ok=True)
            raise
        return cls(path, handle, 0)

    @classmethod
    def resume(cls, path: Path, size: int) -> GrowingFile:
        """An old file, cut to its first `size` bytes."""
        handle = os.open(path, _OPEN)
        try:
            os.ftruncate(handle, size)
        except OSError:
            os.close(handle)
            raise
        return cls(path, handle, size)

    def write(self, line: bytes) -> None:
        """The line at the end, whole. Raises OSError, and then none of it stays."""
        if not self._is_clean:
            os.ftruncate(self._handle, self.size)
        self._is_clean = False
        try:
            left = memoryview(line)
            while left:
                left = left[os.write(self._handle, left) :]
        except OSError:
            with suppress(OSError):  # else the next write does it
                os.ftruncate(self._handle, self.size)
                self._is_clean = True
            raise
        self.size += len(line)
        self._is_clean, self._is_synced = True, False

    @property
    def is_synced(self) -> bool:
        """Whether all of it would survive a power cut."""
        return self._is_synced

    def sync(self) -> None:
        """Make what was written survive a power cut. Raises OSError."""
        os.fsync(self._handle)
        self._is_synced = True

    def is_gone(self) -> bool:
        """Whether somebody has taken the file away: what is written to it now would be in no folder."""
        try:
            found = self.path.stat(follow_symlinks=False)
        except FileNotFoundError:
            return True
        return found.st_ino != os.fstat(self._handle).st_ino

    def close(self) -> None:
        """Let go of the file; syncs it where that is still possible."""
        if not self._is_synced:
            with suppress(OSError):
                self.sync()
        os.close(self._handle)
