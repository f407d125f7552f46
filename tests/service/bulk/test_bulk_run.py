"""`mkd-score` on one machine: every image has a row, whatever is wrong with it, and an interruption costs nothing."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from models.exit_codes import ExitCode

pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'mkdserve[bulk]'")

import pyarrow as pa
import pyarrow.parquet as pq

from models.detector import Row
from service.bulk.__main__ import main
from service.bulk.result_parts import ResultParts
from service.engine.device_runner import DeviceRunner
from tests.conftest import png, tile_picture

ONE_THREAD = ("--backend", "torch", "--threads", "1", "--decode-threads", "1", "--batch", "4")


@pytest.fixture
def pictures(tmp_path: Path, good_images: list[bytes], bad_image: bytes) -> Path:
    """Eight pictures of bolts, one of them blotted, and a file that is none."""
    folder = tmp_path / "pictures"
    (folder / "late shift").mkdir(parents=True)
    for number, image in enumerate([*good_images, bad_image]):
        (folder / f"{number}.png").write_bytes(image)
    (folder / "late shift" / "7.png").write_bytes(good_images[0])
    (folder / "late shift" / "8.png").write_bytes(b"this is no picture")
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_bytes(good_images[0])
    return folder


def score(source: Path, artifacts: Path, out: Path, *more: str) -> int:
    arguments = [str(source), "--artifact", str(artifacts / "bolt"), "--out", str(out), *ONE_THREAD, *more]
    return main(arguments)


def rows_of(out: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(out).to_pylist()
    return rows


def test_every_image_has_a_row_and_one_that_cannot_be_read_has_its_reason(
    pictures: Path, artifacts_folder: Path, tmp_path: Path
) -> None:
    assert score(pictures, artifacts_folder, tmp_path / "out.parquet") == 0
    rows = rows_of(tmp_path / "out.parquet")
    assert [row["path"] for row in rows] == [*(f"{n}.png" for n in range(7)), "late shift/7.png", "late shift/8.png"]
    assert [row["row"] for row in rows] == list(range(9))
    assert {row["product"] for row in rows} == {"bolt"}
    assert rows[7]["score"] == pytest.approx(rows[0]["score"], rel=1e-5)
    assert all(row["decision"] in {"OK", "REVIEW", "NG"} and row["error_code"] is None for row in rows[:8])
    assert (rows[8]["decision"], rows[8]["score"], rows[8]["error_code"]) == (None, None, "image_unreadable")
    assert not (tmp_path / "out.parquet.parts").exists()


def test_a_run_that_was_interrupted_ends_with_the_same_file(
    pictures: Path, artifacts_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert score(pictures, artifacts_folder, tmp_path / "straight.parquet", "--part", "2") == 0
    written: list[int] = []
    write = ResultParts.write

    def until_interrupted(parts: ResultParts, number: int, table: pa.Table) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(number)
        write(parts, number, table)

    with monkeypatch.context() as patch:
        patch.setattr(ResultParts, "write", until_interrupted)
        assert score(pictures, artifacts_folder, tmp_path / "out.parquet", "--part", "2") == 130
    assert not (tmp_path / "out.parquet").exists()
    judged: list[int] = []
    step = DeviceRunner.step

    def counted(runner: DeviceRunner, payloads: Sequence[Row]) -> Any:
        judged.append(len(payloads))
        return step(runner, payloads)

    monkeypatch.setattr(DeviceRunner, "step", counted)
    assert score(pictures, artifacts_folder, tmp_path / "out.parquet", "--part", "2") == 0
    assert sum(judged) == 4  # of the eight that can be read
    assert (tmp_path / "out.parquet").read_bytes() == (tmp_path / "straight.parquet").read_bytes()


def test_parts_of_another_artifact_are_refused_until_told_to_restart(
    pictures: Path, artifacts_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    def interrupted(parts: ResultParts) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "out.parquet"
    with monkeypatch.context() as patch:
        patch.setattr(ResultParts, "finish", interrupted)
        assert score(pictures, artifacts_folder, out) == 130
    other = [str(pictures), "--artifact", str(artifacts_folder / "tile"), "--out", str(out), *ONE_THREAD]
    assert main(other) == ExitCode.OUTPUT
    assert "--restart" in capfd.readouterr().err
    assert main([*other, "--restart"]) == 0
    assert {row["product"] for row in rows_of(out)} == {"tile"}
    assert main(other) == ExitCode.OUTPUT
    assert "--replace" in capfd.readouterr().err


@pytest.mark.parametrize("column", ["path", "image"])
def test_a_parquet_file_of_paths_or_of_images_gives_the_rows_of_the_folder(
    column: str, pictures: Path, artifacts_folder: Path, tmp_path: Path
) -> None:
    files = sorted(file.relative_to(pictures).as_posix() for file in pictures.rglob("[0-9].png"))
    columns: dict[str, list[Any]] = {"path": files}
    if column == "image":
        columns["image"] = [(pictures / file).read_bytes() for file in files]
    pq.write_table(pa.table(columns), pictures / "list.parquet", row_group_size=4)
    assert score(pictures, artifacts_folder, tmp_path / "folder.parquet", "--part", "3") == 0
    assert score(pictures / "list.parquet", artifacts_folder, tmp_path / "list.parquet", "--part", "3") == 0
    assert rows_of(tmp_path / "list.parquet") == rows_of(tmp_path / "folder.parquet")


def test_a_listed_file_that_is_not_there_is_a_row_with_an_error(
    pictures: Path, artifacts_folder: Path, tmp_path: Path
) -> None:
    pq.write_table(pa.table({"path": ["0.png", "gone.png"]}), pictures / "list.parquet")
    assert score(pictures / "list.parquet", artifacts_folder, tmp_path / "out.parquet") == 0
    judged, gone = rows_of(tmp_path / "out.parquet")
    assert judged["error_code"] is None
    assert gone["error_code"] == "image_unreadable"
    assert "No such file" in gone["error_detail"]


def test_the_one_image_that_the_device_fails_with_does_not_take_its_batch_along(
    pictures: Path, artifacts_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = DeviceRunner.step
    poison: list[Any] = []

    def poisoned(runner: DeviceRunner, payloads: Sequence[Row]) -> Any:
        if len(payloads) == 4 and not poison:
            poison.append(payloads[2].image)
        if any(row.image is image for row in payloads for image in poison):
            raise RuntimeError("out of memory")
        return step(runner, payloads)

    assert score(pictures, artifacts_folder, tmp_path / "whole.parquet") == 0
    monkeypatch.setattr(DeviceRunner, "step", poisoned)
    assert score(pictures, artifacts_folder, tmp_path / "out.parquet") == 0
    rows, whole = rows_of(tmp_path / "out.parquet"), rows_of(tmp_path / "whole.parquet")
    assert (rows[2]["error_code"], rows[2]["decision"]) == ("inference_failed", None)
    for row, expected in zip(rows[:2] + rows[3:8], whole[:2] + whole[3:8], strict=True):
        assert row["score"] == pytest.approx(expected["score"], rel=1e-5)


def test_an_input_without_images_is_refused_in_words(artifacts_folder: Path, tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "empty").mkdir()
    pq.write_table(pa.table({"name": ["a.png"]}), tmp_path / "other.parquet")
    for source, words in (("empty", "no image"), ("other.parquet", "column path"), ("nowhere", "neither")):
        assert score(tmp_path / source, artifacts_folder, tmp_path / "out.parquet") == ExitCode.INPUT
        assert words in capfd.readouterr().err


def test_a_link_that_leads_nowhere_is_a_row_and_what_is_passed_over_is_told(
    pictures: Path, artifacts_folder: Path, tmp_path: Path, capfd: Any
) -> None:
    (pictures / "9.png").symlink_to(pictures / "nowhere.png")
    (pictures / "linked").symlink_to(pictures / "late shift")
    assert score(pictures, artifacts_folder, tmp_path / "out.parquet") == 0
    rows = {row["path"]: row for row in rows_of(tmp_path / "out.parquet")}
    assert rows["9.png"]["error_code"] == "image_unreadable"
    assert len(rows) == 10
    told = capfd.readouterr().err
    assert "passed over: 1 links to folders: linked" in told
    assert "passed over: 1 files with other endings than an image's: notes.txt" in told


def test_the_results_can_be_a_table_for_a_spreadsheet(pictures: Path, artifacts_folder: Path, tmp_path: Path) -> None:
    out, table = tmp_path / "r.parquet", tmp_path / "r.csv"
    assert score(pictures, artifacts_folder, out, "--csv", str(table)) == 0
    with table.open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    rows = rows_of(out)
    assert [one["path"] for one in found] == [row["path"] for row in rows]
    assert [one["decision"] for one in found] == [row["decision"] or "" for row in rows]
    assert [one["score"] for one in found] == [str(row["score"]) if row["score"] is not None else "" for row in rows]
    assert score(pictures, artifacts_folder, tmp_path / "other.parquet", "--csv", str(table)) == ExitCode.OUTPUT


def test_a_product_with_versions_means_its_highest_or_its_pinned_one(
    pictures: Path, artifacts_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "artifacts"
    for version in ("9", "10"):
        shutil.copytree(artifacts_folder / "bolt", root / "bolt" / version)
    assert score(pictures, root, tmp_path / "a.parquet") == 0
    assert "taking version 10 of " in capfd.readouterr().err
    (root / ".mkd-state.json").write_text(json.dumps({"products": {"bolt": {"pin": "9"}}}))
    assert score(pictures, root, tmp_path / "b.parquet") == 0
    assert "taking version 9 of " in capfd.readouterr().err


def test_pictures_of_another_product_are_doubted_and_their_overlays_leave_the_defect_visible(
    artifacts_folder: Path, tmp_path: Path, capfd: Any
) -> None:
    (tmp_path / "tiles").mkdir()
    for number in range(8):
        (tmp_path / "tiles" / f"{number}.png").write_bytes(png(tile_picture(number)))
    line = [str(tmp_path / "tiles"), "--artifact", str(artifacts_folder / "bolt"), *ONE_THREAD]
    maps = ["--maps", str(tmp_path / "maps"), "--overlay", "outline"]
    assert main([*line, "--out", str(tmp_path / "a.parquet"), *maps]) == 0
    assert "8 of 8 are NG: are these pictures of this product" in capfd.readouterr().err
    names = [f"{number:09}{ending}" for number in range(8) for ending in (".overlay.png", ".png")]
    assert sorted(file.name for file in (tmp_path / "maps").iterdir()) == names
    own = [str(tmp_path / "tiles"), "--artifact", str(artifacts_folder / "tile"), *ONE_THREAD]
    assert main([*own, "--out", str(tmp_path / "b.parquet")]) == 0
    assert "beware" not in capfd.readouterr().err
    assert main([*own, "--out", str(tmp_path / "c.parquet"), "--overlay", "outline"]) == ExitCode.USAGE
    assert "--overlay goes with --maps" in capfd.readouterr().err
