"""The chains in an audit folder, each a folder of its own, their files in order, and their lines.

    AUDIT/chain-00/0000000001.jsonl     one file per day or size, named after its first record
    AUDIT/chain-00/0000052801.jsonl
    AUDIT/chain-00/lock                 held by the process that writes this chain
    AUDIT/chain-00/images/2026-03-01/   images that were kept
    AUDIT/chain-01/ ...                 one chain for each process that has run beside the first

A process takes the first chain that nobody holds, so a process that was restarted continues where it or another left.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MOST_CHAINS = 1000
LONGEST_LINE = 1 << 20  # no record is near it; a damaged file must not fill the memory of who reads it
FOLDER_MODE = 0o750  # the records name parts and callers: for the owner and its group only
FILE_MODE = 0o640
_CHAIN = re.compile(r"chain-[0-9]{2,3}")
_FILE = re.compile(r"([0-9]{10,})\.jsonl")


def chain_folders(folder: Path) -> list[Path]:
    """The chains of an audit folder, in order. Raises OSError where there is no such folder."""
    found = [path for path in folder.iterdir() if _CHAIN.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("chain-")))


def chain_files(chain: Path) -> list[Path]:
    """The files of one chain in the order of their records."""
    found = [path for path in chain.iterdir() if _FILE.fullmatch(path.name) and path.is_file()]
    return sorted(found, key=first_seq)


def file_name(seq: int) -> str:
    """The name of the file whose first record is `seq`."""
    return f"{seq:010d}.jsonl"


def first_seq(path: Path) -> int:
    """The number of the first record, by the file's name."""
    found = _FILE.fullmatch(path.name)
    assert found is not None, path
    return int(found[1])


def lines(path: Path) -> Iterator[bytes]:
    """The lines of a file with their ends; a line that is too long comes in pieces, none of which is a record."""
    with path.open("rb") as file:
        while line := file.readline(LONGEST_LINE):
            yield line


def claim(folder: Path) -> tuple[Path, int]:
    """Make and lock the first chain that nobody holds. Gives its folder and the lock, which goes with the process.

    Raises OSError where the folder cannot be made or written to.
    """
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    for number in range(MOST_CHAINS):
        chain = folder / f"chain-{number:02d}"
        chain.mkdir(mode=FOLDER_MODE, exist_ok=True)
        lock = os.open(chain / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
        if _locked(lock):
            return chain, lock
        os.close(lock)
    raise OSError(errno.EBUSY, "all chains are held", str(folder))


def _locked(lock: int) -> bool:
    """Whether the lock could be had. A second look, as `is_held` holds it for a moment."""
    for pause_s in (0.02, 0.0):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(pause_s)
        else:
            return True
    return False


def is_held(chain: Path) -> bool:
    """Whether a process writes this chain now, as far as this machine can tell."""
    with suppress(OSError):
        lock = os.open(chain / "lock", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
    return False


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
