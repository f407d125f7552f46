"""Rates under small changes, and a calibration whose promise covers them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from models.artifact import load_artifact
from trainer.__main__ import main
from trainer.data import DataError
from trainer.fit_run import Display
from trainer.perturb import PERTURBATIONS
from trainer.robustness import Robustness, measure_robustness


@pytest.fixture
def labelled(tmp_path: Path, good_folder_of_bolts: Path, good_images: list[bytes], bad_image: bytes) -> Path:
    data = tmp_path / "data"
    for folder in ("train/good", "test/good", "test/blot"):
        (data / folder).mkdir(parents=True)
    for file in good_folder_of_bolts.iterdir():
        (data / "train" / "good" / file.name).write_bytes(file.read_bytes())
    for number, content in enumerate(good_images[:3]):
        (data / "test" / "good" / f"{number}.png").write_bytes(content)
    (data / "test" / "blot" / "0.png").write_bytes(bad_image)
    return data


def job(artifacts_folder: Path, data: Path, out: Path) -> Robustness:
    return Robustness(
        artifacts_folder / "bolt", data, out, ("light", "jpeg"), torch.device("cpu"), backend="torch", threads=1
    )


def test_every_change_is_measured_with_the_thresholds_as_they_are_and_under_the_changes(
    artifacts_folder: Path,
    labelled: Path,
    tmp_path: Path,
    silent_display: Display,
    source_weights: Mapping[str, torch.Tensor],
) -> None:
    page = measure_robustness(job(artifacts_folder, labelled, tmp_path / "out"), silent_display)
    tables = json.loads((tmp_path / "out" / "robustness.json").read_text())
    assert list(tables) == ["as it is", "calibrated under light, jpeg"]
    for rows in tables.values():
        assert [row["change"] for row in rows] == ["none", *PERTURBATIONS]
        assert all(row["ng_of_good"]["total"] == 3 and row["missed"]["total"] == 1 for row in rows)
    for plain, wider in zip(*tables.values(), strict=True):
        assert wider["not_ok_of_good"]["count"] <= plain["not_ok_of_good"]["count"]
        assert wider["missed"]["count"] >= plain["missed"]["count"]
    assert "| JPEG, quality 80 |" in page.read_text()


def test_the_held_out_images_must_be_those_of_the_artifact(
    artifacts_folder: Path,
    labelled: Path,
    tmp_path: Path,
    silent_display: Display,
    source_weights: Mapping[str, torch.Tensor],
) -> None:
    next((labelled / "train" / "good").iterdir()).unlink()
    with pytest.raises(DataError, match="does not hold the images"):
        measure_robustness(job(artifacts_folder, labelled, tmp_path / "out"), silent_display)


def test_a_recalibration_under_changes_is_never_stricter_and_recorded(
    artifacts_folder: Path, tmp_path: Path, source_weights: Mapping[str, torch.Tensor]
) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    random = np.random.default_rng(5)
    for number in range(8):
        assert cv2.imwrite(str(folder / f"{number}.png"), random.integers(90, 160, (40, 40, 3), dtype=np.uint8))
    line = ["recalibrate", str(artifacts_folder / "bolt"), str(folder), "--accept-shift", "--threads", "1"]
    line += ["--backend", "torch", "--out", str(tmp_path / "out")]
    assert main([*line, "--version", "1"]) == 0
    assert main([*line, "--version", "2", "--calibrate-under", "light", "shift"]) == 0
    plain, wider = (load_artifact(tmp_path / "out" / "bolt" / version) for version in "12")
    pairs = zip(plain.calibration.scores, wider.calibration.scores, strict=True)
    assert all(high >= low for low, high in pairs)
    assert plain.calibration.scores != wider.calibration.scores
    assert wider.calibration.map_scale.threshold >= plain.calibration.map_scale.threshold
    assert wider.manifest.recalibration is not None
    assert wider.manifest.recalibration.under == ("light", "shift")
