"""Writes the results of a bulk run as a table that a spreadsheet opens."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow.parquet as pq

from models.atomic_file import replace_file
from service.bulk.result_rows import SCHEMA
from service.spreadsheet import cell

COLUMNS = [name for name in SCHEMA.names if name != "regions"] + ["regions"]


def write_csv(results: Path, out: Path) -> None:
    """The rows of the Parquet file in their order; the column `regions` holds their number."""
    with replace_file(out) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        with pq.ParquetFile(results) as table:
            for batch in table.iter_batches():
                for row in batch.to_pylist():
                    regions = row["regions"]
                    row["regions"] = None if regions is None else len(regions)
                    rows.writerow([cell(row[name]) for name in COLUMNS])
