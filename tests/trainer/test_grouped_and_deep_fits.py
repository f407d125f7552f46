"""Whole fits to sets of their own kind: bursts of few scenes, and 16-bit pictures with a white level that is set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from models.artifact import active_artifact, load_artifact
from models.calibration.conformal import Calibration
from models.calibration.recalibration import Rates, ScoresAndMaps, calibrated
from models.imaging.decode import ImageError
from tests.conftest import bolt_picture, png
from trainer import robustness
from trainer.__main__ import main

SCENES, FRAMES = 7, 3


def fit(data: Path, out: Path, *more: str) -> int:
    line = ["fit", str(data), "--product", "bolt", "--out", str(out), "--method", "padim", "--image-size", "32"]
    line += ["--no-forecast"]
    return main([*line, "--threads", "1", "--backend", "torch", *more])


@pytest.fixture
def bursts(tmp_path: Path) -> Path:
    """FRAMES pictures of each of SCENES parts, with the grain of each exposure, and some to test."""
    for scene in range(SCENES + 1):
        for frame in range(FRAMES):
            grain = np.random.default_rng([scene, frame]).normal(0, 1, (40, 40, 3))
            picture = np.clip(np.rint(bolt_picture(scene) + grain), 0, 255).astype(np.uint8)
            good = scene < SCENES
            file = tmp_path / "data" / ("train/good" if good else "test/good") / f"{scene}-{frame}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(png(picture))
    blot = bolt_picture(SCENES)
    blot[10:24, 10:24] = (250, 20, 20)
    (tmp_path / "data/test/blot").mkdir()
    (tmp_path / "data/test/blot/0.png").write_bytes(png(blot))
    return tmp_path / "data"


def test_frames_of_few_scenes_count_once_in_the_promise_in_the_manifest_and_under_changes(
    bursts: Path,
    tmp_path: Path,
    source_weights: Mapping[str, torch.Tensor],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert fit(bursts, tmp_path / "out", "--hold-out", "0.4") == 0
    assert f"{SCENES} scenes are there in several images" in capsys.readouterr().err
    artifact = load_artifact(active_artifact(tmp_path / "out" / "bolt"))
    training = artifact.manifest.training
    independent = training.independent_held_out
    assert independent is not None
    assert (training.images_held_out, len(training.groups)) == (FRAMES * independent, SCENES)
    assert len(artifact.calibration.scores) == independent
    assert artifact.calibration.smallest_rate == 1 / (independent + 1)

    counted: list[int] = []

    def counting(judged: ScoresAndMaps, rates: Rates) -> Calibration:
        counted.append(len(judged.scores))
        return calibrated(judged, rates)

    monkeypatch.setattr(robustness, "calibrated", counting)
    line = ["robustness", str(artifact.path), str(bursts), "--out", str(tmp_path / "report")]
    assert main([*line, "--calibrate-under", "jpeg", "--threads", "1", "--backend", "torch"]) == 0
    assert counted == [independent]
    assert len(json.loads((tmp_path / "report" / "robustness.json").read_text())) == 2


def test_a_white_level_that_is_set_is_the_products_and_live_pictures_times_16_are_refused(
    tmp_path: Path, source_weights: Mapping[str, torch.Tensor]
) -> None:
    (tmp_path / "data").mkdir()
    for number in range(12):
        (tmp_path / "data" / f"{number}.png").write_bytes(png(bolt_picture(number).astype(np.uint16) * 3))
    assert fit(tmp_path / "data", tmp_path / "read") == 0
    assert load_artifact(active_artifact(tmp_path / "read" / "bolt")).preprocessing.sixteen_bit_white == 1023
    assert fit(tmp_path / "data", tmp_path / "set", "--white-level", "4095") == 0
    artifact = load_artifact(active_artifact(tmp_path / "set" / "bolt"))
    assert artifact.preprocessing.sixteen_bit_white == 4095
    live = bolt_picture(20).astype(np.uint16) * 3
    artifact.judge.prepare_file(png(live))
    with pytest.raises(ImageError, match="times above what training saw") as caught:
        artifact.judge.prepare_file(png(live * np.uint16(16)))
    assert caught.value.code == "image_level_unexpected"
