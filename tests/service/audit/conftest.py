"""A chain to write to, to leave in a hurry, to tamper with and to verify."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.audit.chain import DAY_S, Chain, ChainLimits, ending
from service.audit.files import chain_files
from service.audit.verify import ChainReport, Heads, verify

MORNING = 1_772_344_800.0  # 2026-03-01T06:00:00Z


class Diary:
    """One chain and its clock. What `chain` has open is let go of at the end."""

    def __init__(self, folder: Path, limits: ChainLimits) -> None:
        self.folder = folder
        self.limits = limits
        self.at = MORNING
        self._open: list[Chain] = []
        self.chain = self.take()

    def take(self) -> Chain:
        """A chain as a process takes it: the first that nobody holds."""
        self._open.append(Chain(self.folder, self.limits))
        return self._open[-1]

    def start(self) -> None:
        self.chain.append("start", self.at, {"after": ending(self.chain.left_as)})

    def judge(self, parts: int = 1) -> None:
        """So many verdicts, a second apart."""
        for _ in range(parts):
            self.at += 1
            members = {"request_id": f"r{self.chain.seq + 1}", "product": "screw", "decision": "OK", "score": 0.5}
            self.chain.append("verdict", self.at, members)

    def stop(self) -> None:
        self.chain.append("stop", self.at, {})
        self.leave()

    def leave(self) -> None:
        """As a killed process does."""
        self.chain.close()
        self._open.remove(self.chain)

    def restart(self) -> None:
        """Another process goes on."""
        self.chain = self.take()
        self.start()

    def pass_days(self, days: float) -> None:
        self.at += days * DAY_S

    @property
    def files(self) -> list[Path]:
        return chain_files(self.chain.folder)

    def lines(self) -> list[bytes]:
        return [line for path in self.files for line in path.read_bytes().splitlines(keepends=True)]

    def rewrite(self, lines: list[bytes]) -> None:
        """Put these lines in place of those of the one file there is."""
        (path,) = self.files
        path.write_bytes(b"".join(lines))

    def report(self, heads: Heads | None = None, *, images: bool = False) -> ChainReport:
        (report,) = verify(self.folder, heads, images=images)
        return report

    def close(self) -> None:
        for chain in self._open:
            chain.close()


OpenDiary = Callable[..., Diary]


@pytest.fixture
def open_diary(tmp_path: Path) -> Iterator[OpenDiary]:
    """`open_diary(file_bytes=..., keep_days=..., keep_bytes=...)`; each in a folder of its own."""
    opened: list[Diary] = []

    def make(**limits: int) -> Diary:
        opened.append(Diary(tmp_path / f"audit-{len(opened)}", ChainLimits(**limits)))
        return opened[-1]

    yield make
    for diary in opened:
        diary.close()


@pytest.fixture
def diary(open_diary: OpenDiary) -> Diary:
    """A chain in one file, started and with nothing judged."""
    made = open_diary()
    made.start()
    return made
