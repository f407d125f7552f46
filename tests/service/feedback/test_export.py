"""What was judged leaves as a folder in the MVTec layout or as a Parquet file, and no text becomes a formula."""

from __future__ import annotations

import csv
import io
import tarfile
from typing import TYPE_CHECKING

import pytest

from service.feedback.export import mvtec, parquet
from service.feedback.reviews import judge
from service.feedback.rows import Label, Said, VerdictFilter

if TYPE_CHECKING:
    from tests.service.feedback.conftest import OpenStore


def say(opened: OpenStore, verdict_id: int, label: Label, class_: str | None = None, by: str = "ada") -> None:
    with opened.database.writing() as connection:
        judge(connection, verdict_id, Said(label, class_), by, 1.0)


@pytest.fixture
def judged(opened_in_sqlite: OpenStore) -> OpenStore:
    """Six parts with pictures: a false reject, a good spot check, two defects, one disputed, one unjudged."""
    opened = opened_in_sqlite
    parts = [
        opened.add(decision="NG", spot_check=number == 1, part_id=f"=1+{number}", picture=b"\x89PNG%d" % number)
        for number in range(6)
    ]
    opened.add(decision="NG", product="nut", part_id="=1+1")
    for part, label, class_ in ((0, "good", None), (1, "good", None), (2, "defect", "dent"), (3, "defect", None)):
        say(opened, parts[part], label, class_)  # type: ignore[arg-type]
    say(opened, parts[4], "good")
    say(opened, parts[4], "defect", by="bob")
    return opened


def test_the_tar_is_a_folder_in_the_mvtec_layout(judged: OpenStore) -> None:
    whole = b"".join(mvtec(judged.database, judged.pictures, VerdictFilter()))
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        files = {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]
    table = files.pop("screw/parts.csv")
    assert files == {
        "screw/train/good/1.png": b"\x89PNG0",
        "screw/test/good/2.png": b"\x89PNG1",
        "screw/test/dent/3.png": b"\x89PNG2",
        "screw/test/defect/4.png": b"\x89PNG3",
    }
    rows = list(csv.DictReader(io.StringIO(table.decode())))
    assert [row["part_id"] for row in rows] == ["'=1+0", "'=1+1", "'=1+2", "'=1+3"]
    assert [(row["file"], row["judged"], row["class"]) for row in rows] == [
        ("train/good/1.png", "good", ""),
        ("test/good/2.png", "good", ""),
        ("test/dent/3.png", "defect", "dent"),
        ("test/defect/4.png", "defect", ""),
    ]


def test_a_picture_that_has_gone_is_left_out(judged: OpenStore) -> None:
    judged.pictures.remove(str(judged.row(3).picture_file))
    whole = b"".join(mvtec(judged.database, judged.pictures, VerdictFilter()))
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        assert "screw/test/dent/3.png" not in tar.getnames()
        assert "screw/test/defect/4.png" in tar.getnames()


def test_the_parquet_file_has_a_row_for_each_verdict(judged: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    from pyarrow.parquet import read_table

    monkeypatch.setattr("service.feedback.export.ROWS_OF_GROUP", 2)
    monkeypatch.setattr("service.feedback.export.AT_ONCE", 3)
    rows = read_table(io.BytesIO(b"".join(parquet(judged.database, VerdictFilter())))).to_pylist()
    assert [row["judged"] for row in rows] == ["good", "good", "defect", "defect", "disagreed", "", ""]
    assert (rows[2]["class"], rows[4]["reviews_standing"], rows[6]["part_id"]) == ("dent", 2, "=1+1")
    assert rows[0]["score"] == 0.5
    nothing = read_table(io.BytesIO(b"".join(parquet(judged.database, VerdictFilter(product="bolt")))))
    assert nothing.num_rows == 0
