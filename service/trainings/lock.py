"""The right to train, which one upload or training has at a time: a lock that lives as long as who holds its file."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path

from service.errors import TrainingRunning

PAUSE_S = 0.05


class Claim:
    """The lock, held through an open file. A child process that inherits `file` goes on holding it."""

    def __init__(self, file: int) -> None:
        self.file = file

    def release(self) -> None:
        """Let go of it here; who has inherited it still holds it."""
        os.close(self.file)


async def claim(path: Path, patience_s: float) -> Claim:
    """Take the lock. Raises TrainingRunning where somebody keeps it, OSError where the file cannot be made."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for _ in range(1 + round(patience_s / PAUSE_S)):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(PAUSE_S)
        else:
            return Claim(file)
    os.close(file)
    raise TrainingRunning("another training is being uploaded or under way here; wait for it, or stop it by DELETE")


def is_held(path: Path) -> bool:
    """Whether anybody uploads or trains now."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
