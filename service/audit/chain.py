"""One chain of records in files, which goes on where it was left, over restarts.

A file ends at `file_bytes` or with its day (UTC); a clock that was set back by days begins a file, too. Retention
removes whole old files, and only after a record of it, with the hash at which the rest begins, lies safely in the
chain: so a chain without its beginning still proves itself. How old a file is, the chain's own time says.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.audit.audit_record import NO_RECORD, Kind, sealed, time_of, time_text
from service.audit.chain_end import ChainTail, chain_tail, file_tail, first_time, total_bytes
from service.audit.chain_time import Kept, clock_jump, kept
from service.audit.files import FOLDER_MODE, chain_files, claim, file_name, first_seq, sync_folder
from service.audit.growing_file import GrowingFile

DAY_S = 86_400.0


@dataclass(frozen=True)
class ChainLimits:
    """When a file is full and how long files stay; 0 days or 0 bytes to keep is no limit."""

    file_bytes: int = 64 << 20
    keep_days: int = 0
    keep_bytes: int = 0


class Chain:
    """The writing end of one chain. For one thread; every method but `close` raises OSError where the disk does."""

    def __init__(self, folder: Path, limits: ChainLimits) -> None:
        self.folder, self._lock = claim(folder)
        self._limits = limits
        self._day = ""
        self._file: GrowingFile | None = None
        self.files_begun = 0
        try:
            self.left_as = chain_tail(self.folder)
            if self.left_as.resume is not None:
                self._file = GrowingFile.resume(self.left_as.resume, self.left_as.whole_bytes)
                self._day = (first_time(self.left_as.resume) or "")[:10]
        except OSError:
            os.close(self._lock)
            raise
        self._last = time_of(self.left_as.record.time) if self.left_as.record else None
        self.seq = self.left_as.seq
        self.head = self.left_as.record.hash if self.left_as.record else NO_RECORD

    @property
    def name(self) -> str:
        """The chain's name in its audit folder."""
        return self.folder.name

    @property
    def is_synced(self) -> bool:
        """Whether all of it would survive a power cut."""
        return self._file is None or self._file.is_synced

    def append(self, kind: Kind, at: float, members: Mapping[str, object]) -> None:
        """One record at the end. Where it raises, the chain is as it was and the call may be made again."""
        line, digest = sealed(self.seq + 1, kind, at, members, self.head)
        file = self._file_for(len(line), time_text(at)[:10])
        file.write(line)
        self.seq += 1
        self.head = digest
        self._last = at

    def sync(self) -> None:
        """Make it survive a power cut; notices a file that was taken away, and goes on in a new one."""
        if self._file is None:
            return
        self._file.sync()
        if self._file.is_gone():
            gone = self._file
            self._file = None
            gone.close()
            raise FileNotFoundError(f"{gone.path.name} was taken away while it was written")

    def clock_jump(self, now: float) -> float:
        """See service.audit.chain_time.clock_jump."""
        return clock_jump(_times(chain_files(self.folder)[-2:]), self._last, now)

    def kept(self, now: float) -> Kept | None:
        """What `keep_days` keeps of this chain; None where nothing is older, or there is no such limit."""
        if self._limits.keep_days <= 0:
            return None
        return kept(_times(chain_files(self.folder)), now, self._limits.keep_days * DAY_S)

    def remove_old(self, now: float) -> int:
        """Remove the whole files that need not be kept, after a record that says so. Gives their number."""
        files = chain_files(self.folder)
        old = self._removable(files, now)
        if not old:
            return 0
        through = first_seq(files[len(old)]) - 1
        last = file_tail(old[-1]).record
        members = {"files": len(old), "through": through, "through_hash": last.hash if last else None}
        self.append("removal", now, members)
        self.sync()
        for path in old:  # oldest first: a removal that is cut short leaves no hole
            path.unlink(missing_ok=True)
        sync_folder(self.folder)
        return len(old)

    def close(self) -> None:
        """Sync and let go; another process may have the chain then."""
        if self._file is not None:
            self._file.close()
            self._file = None
        os.close(self._lock)

    def _file_for(self, more_bytes: int, day: str) -> GrowingFile:
        file = self._file
        if file is not None:
            is_full = file.size + more_bytes > self._limits.file_bytes or _is_another_day(day, self._day)
            if file.size == 0 or not is_full:
                self._day = self._day or day
                return file
        self.folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)  # somebody may have taken all of it away
        begun = GrowingFile.begin(self.folder / file_name(self.seq + 1))
        if file is not None:
            file.close()
        self._file, self._day = begun, day
        self.files_begun += 1
        return begun

    def _removable(self, files: list[Path], now: float) -> list[Path]:
        """Whole files from the oldest on, never the one that is written. A file is as old as its last record."""
        old: list[Path] = []
        left = total_bytes(files)
        rest = self.kept(now)
        for number, path in enumerate(files[:-1]):
            too_much = 0 < self._limits.keep_bytes < left
            too_old = rest is not None and number < rest.file
            if not (too_much or too_old):
                break
            old.append(path)
            left -= path.stat().st_size
        return old


def _times(files: Sequence[Path]) -> list[float | None]:
    return [None if (text := first_time(path)) is None else time_of(text) for path in files]


def _is_another_day(day: str, begun: str) -> bool:
    """Whether a record of `day` goes into a new file. Records of one midnight may come in either order."""
    return bool(begun) and (day > begun or time_of(begun) - time_of(day) > DAY_S)


def ending(tail: ChainTail) -> str:
    """How the chain was left: "nothing" (it is new), "stop" (in order) or "no stop" (killed, or its end is missing)."""
    if tail.record is None:
        return "nothing" if not tail.damaged_lines else "no stop"
    return "stop" if tail.record.kind == "stop" and not tail.damaged_lines and not tail.torn_bytes else "no stop"
