"""`mkd-score` against the running service: the same images, the same numbers, decisions, regions and errors."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import httpx
import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'mkdserve[bulk]'")

import pyarrow.parquet as pq

from service.bulk.__main__ import main


def test_the_rows_say_what_the_service_answers(
    client: httpx.Client, artifacts_folder: Path, tmp_path: Path, good_images: list[bytes], bad_image: bytes
) -> None:
    sent = [*good_images, bad_image, bad_image[:-40], b"no picture"]
    (tmp_path / "in").mkdir()
    for number, image in enumerate(sent):
        (tmp_path / "in" / f"{number}.png").write_bytes(image)
    maps, out = tmp_path / "maps", tmp_path / "out.parquet"
    arguments = [str(tmp_path / "in"), "--artifact", str(artifacts_folder / "bolt"), "--out", str(out)]
    assert main([*arguments, "--maps", str(maps), "--threads", "1", "--decode-threads", "1"]) == 0
    files = [("image", (f"{number}.png", image)) for number, image in enumerate(sent)]
    answer = client.post("/localize?product=bolt", files=files)
    assert answer.status_code == 200, answer.text
    entries, rows = answer.json()["results"], pq.read_table(out).to_pylist()
    assert len(rows) == len(entries) == len(sent)
    for row, entry in zip(rows, entries, strict=True):
        assert row["path"] == entry["filename"]
        if "error" in entry:
            assert (row["error_code"], row["error_detail"]) == (entry["error"]["code"], entry["error"]["detail"])
            continue
        assert row["score"] == pytest.approx(entry["score"], rel=1e-5)
        assert (row["artifact"], row["version"]) == (entry["artifact"]["hash"], entry["artifact"]["version"])
        for name in ("product", "decision", "p_value", "threshold", "review_threshold"):
            assert row[name] == entry[name], name
        assert [region["box"] for region in row["regions"]] == [region["box"] for region in entry["regions"]]
        ours, theirs = (maps / row["map_file"]).read_bytes(), base64.b64decode(entry["map"])
        assert np.abs(grey(ours) - grey(theirs)).max() <= 1
    assert sum(row["error_code"] is not None for row in rows) == 2


def grey(png: bytes) -> npt.NDArray[np.int16]:
    pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    return pixels.astype(np.int16)
