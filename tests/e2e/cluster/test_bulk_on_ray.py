"""`mkd-score --ray`: the rows of one machine, though the node that judges dies under the run."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("ray", reason="needs Ray: pip install 'mkdserve[ray]'")

import pyarrow as pa
import pyarrow.parquet as pq

from service.bulk.__main__ import main

ROOT = Path(__file__).parents[3]
PARTS = 48
SIDE = 1500  # pixels: large ones take a while to decode, so that there is a run to die under


@pytest.mark.long
def test_a_node_that_dies_costs_no_row_and_changes_none(
    cluster: Any, artifacts_folder: Path, good_images: list[bytes], tmp_path: Path
) -> None:
    for number, image in enumerate(good_images[:4]):
        pixels = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
        assert pixels is not None
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), cv2.resize(pixels, (SIDE, SIDE)))
    (tmp_path / "4.jpg").write_bytes(b"no picture")
    pq.write_table(pa.table({"path": [f"{number % 5}.jpg" for number in range(PARTS)]}), tmp_path / "list.parquet")
    arguments = [str(tmp_path / "list.parquet"), "--artifact", str(artifacts_folder / "bolt"), "--part", "1"]
    arguments += ["--backend", "torch", "--threads", "1", "--decode-threads", "1"]
    assert main([*arguments, "--out", str(tmp_path / "here.parquet")]) == 0
    out = tmp_path / "there.parquet"
    with cluster.node() as doomed:
        command = [sys.executable, "-m", "service.bulk", *arguments, "--out", str(out), "--ray", cluster.address]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as running:
            try:
                wait_for_parts(running, tmp_path)
                cluster.kill(doomed)
                assert not out.exists(), "the run was over before the node died"
                with cluster.node():
                    _, told = running.communicate(timeout=150)
            finally:
                running.kill()
    assert running.returncode == 0, told
    assert out.read_bytes() == (tmp_path / "here.parquet").read_bytes()


def wait_for_parts(running: subprocess.Popen[str], folder: Path) -> None:
    """Returns when the first parts are saved."""
    patience = time.monotonic() + 120
    while len(list(folder.glob("there.parquet.parts/0*.parquet"))) < 2:
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < patience
        time.sleep(0.02)
