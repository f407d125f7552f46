"""`mkd-train many`: an artifact for each subfolder, and one that cannot be trained leaves the others alone."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from models.artifact import active_artifact, load_artifact
from models.exit_codes import ExitCode
from trainer.__main__ import main

TINY = ("--image-size", "32", "--set", "steps=2", "--set", "batch_size=4", "--backend", "torch", "--threads", "1")


@pytest.fixture
def folder(good_folder_of_bolts: Path, tmp_path: Path, source_weights: Mapping[str, torch.Tensor]) -> Path:
    """Good bolts under two names, and a product with too few pictures."""
    for name in ("bolt-a", "bolt-b"):
        shutil.copytree(good_folder_of_bolts, tmp_path / "data" / name)
    (tmp_path / "data" / "nut").mkdir()
    shutil.copy(next(good_folder_of_bolts.iterdir()), tmp_path / "data" / "nut")
    return tmp_path / "data"


def test_each_subfolder_becomes_an_artifact_and_a_failure_is_told(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    many = ["many", str(folder), "--out", str(tmp_path / "artifacts"), *TINY]
    assert main([*many, "--at-once", "2"]) == ExitCode.NOT_IN_ORDER
    told = capsys.readouterr().err
    assert "nut: failed: 1 usable images" in told
    made = {name: load_artifact(active_artifact(tmp_path / "artifacts" / name)) for name in ("bolt-a", "bolt-b")}
    assert all(f"{name}: {artifact.sha256[:12]}" in told for name, artifact in made.items())
    shutil.rmtree(folder / "nut")
    assert main(many) == 0
    assert "2 of 2 are there already" in capsys.readouterr().err
    assert load_artifact(active_artifact(tmp_path / "artifacts" / "bolt-a")).sha256 == made["bolt-a"].sha256


def test_a_folder_without_products_is_refused_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["many", str(tmp_path), *TINY]) == ExitCode.INPUT
    assert "a subfolder for each product" in capsys.readouterr().err
    (tmp_path / "bad name").mkdir()
    assert main(["many", str(tmp_path), *TINY]) == ExitCode.INPUT
    assert "bad name" in capsys.readouterr().err
