"""Keeps the tables of a bulk run part by part, in any order, and puts them together as one whole Parquet file.

    results.parquet.parts/    plan.json (what run this is), 000000.parquet, 000001.parquet, ... and gone at the end

A run that was interrupted finds its finished parts there; one with another input, artifact or setting refuses them.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from models.writing import NotWritable
from service.bulk.errors import BulkError
from service.bulk.result_rows import SCHEMA

PLAN = "plan.json"


class ResultParts:
    """The parts of one result. `count` images in parts of `size`; `plan` is everything that decides the rows."""

    def __init__(self, out: Path, plan: Mapping[str, object], *, count: int, size: int) -> None:
        self.out = out
        self.folder = out.with_name(f"{out.name}.parts")
        self._plan = json.dumps({**plan, "count": count, "part": size}, sort_keys=True)
        self._count, self._size = count, size
        self.total = -(-count // size)

    def open(self, *, restart: bool) -> list[int]:
        """The numbers of the parts that are still missing. Raises NotWritable where the parts are of another run."""
        if restart:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        plan = self.folder / PLAN
        if not plan.exists():
            _whole(plan, lambda file: file.write_text(self._plan, encoding="utf-8"))
        elif plan.read_text(encoding="utf-8") != self._plan:
            raise NotWritable(
                f"{self.folder} holds parts of a run with other images, artifact or settings: give --restart to "
                "throw them away, or another --out"
            )
        return [number for number in range(self.total) if not self._file(number).exists()]

    def rows(self, number: int) -> tuple[int, int]:
        """The first row of a part and the one after its last."""
        return number * self._size, min((number + 1) * self._size, self._count)

    def write(self, number: int, table: pa.Table) -> None:
        """Keep a part. Raises BulkError where it does not hold its rows, each once and in order."""
        start, stop = self.rows(number)
        if table.column("row").to_pylist() != list(range(start, stop)):
            raise BulkError(f"part {number} does not hold the rows {start} to {stop - 1}")
        _whole(self._file(number), lambda file: pq.write_table(table, file))

    def finish(self) -> None:
        """Put the parts together as the result, in order, and remove them."""

        def join(file: Path) -> None:
            with pq.ParquetWriter(file, SCHEMA) as writer:
                for number in range(self.total):
                    writer.write_table(pq.read_table(self._file(number), schema=SCHEMA))

        _whole(self.out, join)
        shutil.rmtree(self.folder)

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:06}.parquet"


def _whole(file: Path, write: Callable[[Path], object]) -> None:
    """`write` to a file beside, then rename: what has the right name is complete, also after a crash."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        write(beside)
        with beside.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(beside, file)
    finally:
        beside.unlink(missing_ok=True)
