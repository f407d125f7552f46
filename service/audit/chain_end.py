"""Finds where a chain ends as it was left, maybe by a killed process, and what lies behind its last record."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from service.audit.audit_record import Damaged, Record, opened
from service.audit.files import chain_files, lines


@dataclass(frozen=True)
class FileTail:
    """The end of one file. `whole_bytes` are its whole lines; behind them lie `torn_bytes` of half a line."""

    record: Record | None  # the last that agrees with itself
    damaged_lines: int  # whole lines behind it
    whole_bytes: int
    torn_bytes: int


@dataclass(frozen=True)
class ChainTail:
    """The end of a chain. `resume` is the file to go on with, cut to `whole_bytes`; None where a new one is due."""

    record: Record | None
    damaged_lines: int
    torn_bytes: int
    resume: Path | None
    whole_bytes: int

    @property
    def seq(self) -> int:
        """The number of the last record; a damaged line had one, too."""
        return (self.record.seq if self.record is not None else 0) + self.damaged_lines


def chain_tail(chain: Path) -> ChainTail:
    """Look from the end for the last record of a chain that agrees with itself. Raises OSError."""
    files = chain_files(chain)
    tails: list[FileTail] = []
    for path in reversed(files):
        tails.append(file_tail(path))
        if tails[-1].record is not None:
            break
    if not tails:
        return ChainTail(None, 0, 0, None, 0)
    last = tails[0]
    damaged = sum(tail.damaged_lines for tail in tails)
    # A file with damaged lines at its end is left as it is, for whoever wants to know what happened to it.
    resume = files[-1] if not last.damaged_lines else None
    return ChainTail(tails[-1].record, damaged, last.torn_bytes if resume else 0, resume, last.whole_bytes)


def file_tail(path: Path) -> FileTail:
    """Read one file backwards. Raises OSError."""
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            return FileTail(None, 0, 0, 0)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            whole = content.rfind(b"\n") + 1
            end, damaged = whole, 0
            while end > 0:
                start = content.rfind(b"\n", 0, end - 1) + 1
                try:
                    return FileTail(opened(content[start:end]), damaged, whole, len(content) - whole)
                except Damaged:
                    end, damaged = start, damaged + 1
            return FileTail(None, damaged, whole, len(content) - whole)


def first_time(path: Path) -> str | None:
    """The time of the file's first record; None where it has none."""
    for line in lines(path):
        try:
            return opened(line).time
        except Damaged:
            return None
    return None


def total_bytes(files: Sequence[Path]) -> int:
    """Bytes of all of them."""
    return sum(path.stat().st_size for path in files)
