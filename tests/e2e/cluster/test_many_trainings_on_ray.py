"""`mkd-train many --ray`: the artifacts that one machine would make."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray", reason="needs Ray: pip install 'mkdserve[ray]'")

from models.artifact import load_artifact
from models.artifact.versions import active_artifact
from trainer.__main__ import main

TINY = ("--image-size", "32", "--set", "steps=2", "--set", "batch_size=4", "--backend", "torch", "--threads", "1")


@pytest.mark.long
def test_products_are_trained_as_tasks_of_the_cluster(cluster: Any, good_folder_of_bolts: Path, tmp_path: Path) -> None:
    for name in ("bolt-a", "bolt-b"):
        shutil.copytree(good_folder_of_bolts, tmp_path / "data" / name)
    arguments = ["many", str(tmp_path / "data"), *TINY]
    with cluster.node():
        assert main([*arguments, "--out", str(tmp_path / "there"), "--ray", cluster.address]) == 0
    fit = ["fit", str(tmp_path / "data" / "bolt-a"), "--product", "bolt-a", "--out", str(tmp_path / "here"), *TINY]
    assert main(fit) == 0
    here, there = (load_artifact(active_artifact(tmp_path / place / "bolt-a")) for place in ("here", "there"))
    assert there.calibration == here.calibration
    assert load_artifact(active_artifact(tmp_path / "there" / "bolt-b")).calibration == here.calibration
