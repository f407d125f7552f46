"""Searches verdicts, answers and reviews in an audit folder, over all chains by time, and writes them as CSV."""

from __future__ import annotations

import csv
import heapq
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TextIO

from service.audit.audit_record import Damaged, Record, opened, time_of, time_text
from service.audit.chain_end import first_time
from service.audit.files import chain_files, chain_folders, lines
from service.spreadsheet import cell

COLUMNS = (
    "time",
    "kind",
    "request_id",
    "index",
    "caller",
    "filename",
    "line",
    "station",
    "part_id",
    "product",
    "version",
    "artifact_hash",
    "decision",
    "score",
    "p_value",
    "threshold",
    "threshold_origin",
    "review_threshold",
    "image_sha256",
    "image_file",
    "trigger_id",
    "recipe",
    "code",
    "action",
    "label",
    "class",
    "note",
    "by",
    "chain",
    "seq",
    "hash",
)
SHOWN = frozenset({"verdict", "answer"})  # unless other kinds are asked for: a review has the decision once more
_AGO = re.compile(r"([0-9]{1,6})([smhd])")
_DAYS = {"today": 0, "yesterday": 1}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True)
class RecordFilter:
    """Which records, verdicts and answers where no kinds are named; None and empty are no condition.

    The times are as `time_text` writes them; `until` is outside.
    """

    product: str | None = None
    since: str | None = None
    until: str | None = None
    decisions: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    request_id: str | None = None
    caller: str | None = None
    line: str | None = None
    station: str | None = None
    part_id: str | None = None

    def has(self, record: Record) -> bool:
        """Whether it is one of them."""
        members = record.members
        context = members.get("context") or {}
        return (
            record.kind in (self.kinds or SHOWN)
            and (self.since is None or record.time >= self.since)
            and (self.until is None or record.time < self.until)
            and (self.product is None or members.get("product") == self.product)
            and (not self.decisions or members.get("decision") in self.decisions)
            and all(
                wanted is None or found == wanted
                for wanted, found in (
                    (self.request_id, members.get("request_id")),
                    (self.caller, members.get("caller")),
                    (self.line, context.get("line")),
                    (self.station, context.get("station")),
                    (self.part_id, context.get("part_id")),
                )
            )
        )


@dataclass(frozen=True)
class Found:
    """A record with its chain and its line, as it was written."""

    chain: str
    record: Record
    line: bytes


def search(folder: Path, wanted: RecordFilter, on_damage: Callable[[str], None]) -> Iterator[Found]:
    """The records wanted. A line that does not agree with itself is told to `on_damage` and left out."""
    chains = [_chain(chain, wanted, on_damage) for chain in chain_folders(folder)]
    return heapq.merge(*chains, key=lambda found: found.record.time)


def _chain(chain: Path, wanted: RecordFilter, on_damage: Callable[[str], None]) -> Iterator[Found]:
    files = chain_files(chain)
    for path, following in zip(files, [*files[1:], None], strict=True):
        begins_later = first_time(following) if following is not None and wanted.since is not None else None
        if begins_later is not None and wanted.since is not None and begins_later < wanted.since:
            continue  # all of this file is older
        for number, line in enumerate(lines(path), 1):
            try:
                record = opened(line)
            except Damaged as fault:
                on_damage(f"{chain.name}/{path.name} line {number} {fault}")
                continue
            if wanted.has(record):
                yield Found(chain.name, record, line)


def moment(text: str, now: float) -> str:
    """`2026-03-01`, `2026-03-01T06:00:00+01:00`, so long ago (`30m`, `8h`, `7d`), or `today` and `yesterday`.

    The last two begin at this machine's midnight. Raises ValueError.
    """
    if text in _DAYS:
        day = datetime.fromtimestamp(now).date() - timedelta(days=_DAYS[text])
        return time_text(datetime.combine(day, datetime.min.time()).astimezone().timestamp())
    ago = _AGO.fullmatch(text)
    return time_text(now - int(ago[1]) * _SECONDS[ago[2]] if ago else time_of(text))


def write_csv(found: Iterable[Found], out: TextIO) -> int:
    """A header and a row for each; gives the number of rows."""
    rows = csv.writer(out)
    rows.writerow(COLUMNS)
    count = 0
    for one in found:
        rows.writerow([cell(value) for value in _row(one)])
        count += 1
    return count


def _row(found: Found) -> list[object]:
    members = found.record.members
    flat = {
        **members,
        **members.get("context", {}),
        "version": members.get("artifact", {}).get("version"),
        "artifact_hash": members.get("artifact", {}).get("hash"),
        "chain": found.chain,
    }
    return [flat.get(name) for name in COLUMNS]
