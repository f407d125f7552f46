"""Says for each chain of an audit folder where it breaks, compared also with the heads that a log has kept.

What a chain shows by itself: a record that was changed, removed, inserted or moved, a file that was cut or taken away,
a beginning that no retention has removed. What it cannot show: an end that was cut off between two records, or a chain
that somebody has written anew from some record on. Both show by the heads that the service logs, kept elsewhere.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from service.audit.audit_record import NO_RECORD, Damaged, Record, opened
from service.audit.files import chain_files, chain_folders, first_seq, is_held, lines
from service.audit.kept_image import KeptImages

Heads = Mapping[str, Mapping[int, set[str]]]  # by chain and number of the record, the hashes that were logged


@dataclass
class ChainReport:
    """What one chain turned out to be. `warnings` may be innocent, `breaks` are not; `notes` tell its story."""

    name: str
    files: int = 0
    records: int = 0
    verdicts: int = 0
    answers: int = 0
    reviews: int = 0
    last: Record | None = None
    breaks: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verify(folder: Path, heads: Heads | None = None, *, images: bool = False) -> list[ChainReport]:
    """A report for each chain of an audit folder. Raises OSError where it cannot be read."""
    known = heads or {}
    reports = [
        verify_chain(chain, known.get(chain.name, {}), KeptImages(chain) if images else None)
        for chain in chain_folders(folder)
    ]
    present = {report.name for report in reports}
    lost = [ChainReport(name, breaks=["the log names this chain, and it is not here"]) for name in sorted(known)]
    return reports + [report for report in lost if report.name not in present]


def verify_chain(chain: Path, heads: Mapping[int, set[str]], images: KeptImages | None = None) -> ChainReport:
    """The report of one chain folder."""
    is_running = is_held(chain)  # asked first: what is written meanwhile may end in half a line
    check = ChainCheck(chain.name, heads, images)
    files = chain_files(chain)
    for path in files:
        check.begin(path)
        for number, line in enumerate(lines(path), 1):
            if line.endswith(b"\n") or not is_running or path != files[-1]:
                check.line(f"{path.name} line {number}", line)
    check.finish(is_running)
    return check.report


class ChainCheck:
    """Goes through one chain, line by line."""

    def __init__(self, name: str, heads: Mapping[int, set[str]], images: KeptImages | None) -> None:
        self.report = ChainReport(name)
        self._heads = heads
        self._images = images
        self._expected = 0  # the number of the next record
        self._head: str | None = NO_RECORD  # None: unknown, after a damaged line
        self._begins_after: tuple[int, str | None] = (0, None)  # the record before the first one here, and its hash
        self._removals: list[tuple[object, object]] = []

    def begin(self, path: Path) -> None:
        """The next file."""
        self.report.files += 1
        if self.report.files == 1:
            self._expected = first_seq(path)
            self._begins_after = (self._expected - 1, None)
            self._head = NO_RECORD if self._expected == 1 else None

    def line(self, place: str, line: bytes) -> None:
        """The next line."""
        try:
            record = opened(line)
        except Damaged as fault:
            self._broken(f"{place}: record {self._expected} {fault}")
            self._expected, self._head = self._expected + 1, None
            return
        if record.seq < self._expected:
            self._broken(f"{place}: record {record.seq} is out of place, behind record {self._expected - 1}")
            return
        if record.seq > self._expected:
            last = record.seq - 1
            which = f"record {last} is" if last == self._expected else f"records {self._expected} to {last} are"
            self._broken(f"{place}: {which} missing before this one")
        elif self._head is not None and record.prev != self._head:
            before = f"record {record.seq - 1}" if record.seq > 1 else "a beginning"
            self._broken(f"{place}: record {record.seq} does not follow {before}: one of them was replaced")
        self._take(place, record)

    def finish(self, is_running: bool) -> None:
        """All lines have been seen."""
        report = self.report
        before, first_prev = self._begins_after
        if before and not any(_covers(removal, before, first_prev) for removal in self._removals):
            self._broken(f"begins at record {before + 1}, and no record tells that what was before it was removed")
        last = report.last.seq if report.last is not None else 0
        later = [seq for seq in self._heads if seq > last]
        if later:
            self._broken(f"ends at record {last}, and the log names record {max(later)}: the end has been cut off")
        if is_running:
            report.notes.append("is being written now")
        elif report.last is not None and report.last.kind != "stop":
            report.warnings.append(
                "ends without a stop record: the service was killed, or the end has been cut off (compare with the log)"
            )
        if self._images is not None:
            report.breaks += self._images.changed
            report.notes.append(self._images.summary())

    def _take(self, place: str, record: Record) -> None:
        report = self.report
        if report.records == 0:
            self._begins_after = (self._begins_after[0], record.prev)
        report.records += 1
        report.last = record
        self._expected, self._head = record.seq + 1, record.hash
        logged = self._heads.get(record.seq, set())
        if logged - {record.hash}:
            self._broken(f"{place}: record {record.seq} is not the one that the log names: it has been written anew")
        self._tell(record)

    def _tell(self, record: Record) -> None:
        report, members = self.report, record.members
        if record.kind == "verdict":
            report.verdicts += 1
            if self._images is not None:
                self._images.check(record)
        elif record.kind == "answer":
            report.answers += 1
        elif record.kind == "review":
            report.reviews += 1
        elif record.kind == "gap":
            report.notes.append(
                f"record {record.seq}: {members.get('lost')} records were lost from {members.get('from')} to "
                f"{members.get('to')} ({', '.join(members.get('reasons', {}))})"
            )
        elif record.kind == "removal":
            self._removals.append((members.get("through"), members.get("through_hash")))
            report.notes.append(f"record {record.seq}: {record.time} records up to {members.get('through')} removed")
        elif record.kind == "stop" and "lost" in members:
            report.notes.append(f"record {record.seq}: {record.time} stopped, {members['lost']} records lost before it")
        elif record.kind == "start" and members.get("after") == "no stop":
            torn = f", {members['torn_bytes']} bytes of half a record were cut off" if "torn_bytes" in members else ""
            report.notes.append(f"record {record.seq}: {record.time} started after an end without a stop{torn}")

    def _broken(self, text: str) -> None:
        self.report.breaks.append(text)


def _covers(removal: tuple[object, object], before: int, first_prev: str | None) -> bool:
    """Whether a removal accounts for the absence of all records up to `before`."""
    through, digest = removal
    if type(through) is not int or through < before:
        return False
    return through > before or digest is None or first_prev is None or digest == first_prev


def heads_in(log: Iterable[str]) -> dict[str, dict[int, set[str]]]:
    """The heads that a log of the service names; lines that are something else are passed over."""
    found: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for line in log:
        if '"audit head"' not in line:
            continue
        try:
            entry = json.loads(line[line.index("{") :])  # what a collector writes before it does not matter
            if entry["event"] == "audit head":
                found[str(entry["chain"])][int(entry["seq"])].add(str(entry["hash"]))
        except (ValueError, KeyError, TypeError):
            continue
    return found
