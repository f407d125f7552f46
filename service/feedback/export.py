"""Writes what was judged as a tar of a folder in the MVTec layout, or as a Parquet file, piece by piece.

The folder has the kept pictures of parts that people agree on, and a table of them:

    PRODUCT/train/good/17.png      good parts that were reviewed for their score, or by choice
    PRODUCT/test/good/21.png       good parts that were spot checks: a random sample, as a test needs one
    PRODUCT/test/CLASS/35.png      defects; `defect` is the class of those that were given none
    PRODUCT/parts.csv
"""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from service.feedback.database import Database
from service.feedback.pictures import PictureFolder
from service.feedback.rows import VerdictFilter, VerdictRow
from service.feedback.verdicts import after
from service.spreadsheet import cell

AT_ONCE = 200
ROWS_OF_GROUP = 5000
NO_CLASS = "defect"
OF_PICTURE = frozenset({"picture_file", "picture_bytes", "picture_type", "picture_gone_at"})
NOT_WRITTEN = OF_PICTURE | {"reviews", "waiting", "resembles"}
COLUMNS = tuple(part.name for part in fields(VerdictRow) if part.name not in NOT_WRITTEN)
PIECE_BYTES = 1 << 20


class Pieces(io.RawIOBase):
    """A file that can only be written, and hands over what was written."""

    def __init__(self) -> None:
        self._written = bytearray()
        self._place = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written += data
        self._place += len(data)
        return len(data)

    def tell(self) -> int:
        return self._place

    def pieces(self, least: int = PIECE_BYTES) -> Iterator[bytes]:
        """What was written since, where it is `least` bytes."""
        if len(self._written) >= max(least, 1):
            data, self._written = bytes(self._written), bytearray()
            yield data


def mvtec(database: Database, pictures: PictureFolder, wanted: VerdictFilter) -> Iterator[bytes]:
    """The pieces of a tar file. Raises DatabaseFaultError."""
    out = Pieces()
    tables: dict[str, io.StringIO] = {}
    with tarfile.open(fileobj=out, mode="w|") as tar:
        for row in _rows(database, wanted):
            place = place_of(row)
            if place is None or row.picture_file is None or row.picture_bytes is None:
                continue
            try:
                data = pictures.read(row.picture_file, row.picture_bytes)
            except OSError:  # retention was faster
                continue
            _put(tar, place, data, row.at)
            _note(tables, row, place)
            yield from out.pieces()
        for product, table in tables.items():
            _put(tar, f"{product}/parts.csv", table.getvalue().encode(), 0.0)
    yield from out.pieces(0)


def parquet(database: Database, wanted: VerdictFilter) -> Iterator[bytes]:
    """The pieces of a Parquet file with a row for each verdict. Raises DatabaseFaultError, and ImportError."""
    import pyarrow
    import pyarrow.parquet

    out = Pieces()
    schema = pyarrow.schema([(name, _kind(pyarrow, name)) for name in (*COLUMNS, "class", "reviews_standing")])
    with pyarrow.parquet.ParquetWriter(pyarrow.PythonFile(out, mode="w"), schema) as writer:
        group: list[dict[str, object]] = []
        for row in _rows(database, wanted):
            group.append(_members(row))
            if len(group) == ROWS_OF_GROUP:
                writer.write_table(pyarrow.Table.from_pylist(group, schema))
                group = []
                yield from out.pieces()
        writer.write_table(pyarrow.Table.from_pylist(group, schema))
    yield from out.pieces(0)


def place_of(row: VerdictRow) -> str | None:
    """Where a part's picture stands in the folder; None for one that nobody has judged, or that people disagree on."""
    if row.judged == "good":
        folder = "test/good" if row.spot_check else "train/good"
    elif row.judged == "defect":
        folder = f"test/{class_of(row) or NO_CLASS}"
    else:
        return None
    ending = (row.picture_file or "").rpartition(".")[2]
    return f"{row.product}/{folder}/{row.id}.{ending}"


def class_of(row: VerdictRow) -> str | None:
    """The class of a defect: what was said of it last."""
    said = [one.defect_class for one in row.reviews if one.withdrawn_at is None and one.defect_class is not None]
    return said[-1] if said else None


def _rows(database: Database, wanted: VerdictFilter) -> Iterator[VerdictRow]:
    """All of them, oldest first, some at a time, so that nobody waits for a slow reader of the export."""
    last = 0
    while True:
        with database.reading() as connection:
            rows = after(connection, wanted, last, AT_ONCE)
        yield from rows
        if len(rows) < AT_ONCE:
            return
        last = rows[-1].id


def _put(tar: tarfile.TarFile, name: str, data: bytes, at: float) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = len(data), int(at), 0o644
    tar.addfile(entry, io.BytesIO(data))


def _note(tables: dict[str, io.StringIO], row: VerdictRow, place: str) -> None:
    table = tables.setdefault(row.product, io.StringIO(newline=""))
    rows = csv.writer(table)
    members = {"file": place.partition("/")[2], **_members(row)}
    if not table.tell():
        rows.writerow(members)
    rows.writerow([cell(value) for value in members.values()])


def _members(row: VerdictRow) -> dict[str, object]:
    standing = sum(1 for review in row.reviews if review.withdrawn_at is None)
    return {**{name: getattr(row, name) for name in COLUMNS}, "class": class_of(row), "reviews_standing": standing}


def _kind(pyarrow: Any, name: str) -> Any:
    """Arrow's type of a column."""
    if name in ("at", "score", "p_value", "threshold", "review_threshold", "spot_check_share"):
        return pyarrow.float64()
    if name in ("id", "image_index", "width", "height", "reviews_standing"):
        return pyarrow.int64()
    return pyarrow.bool_() if name == "spot_check" else pyarrow.string()
