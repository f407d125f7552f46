"""New good images and an old network: a new calibration, and nothing else changes."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from models.artifact import TENSORS, Artifact, load_artifact
from models.exit_codes import ExitCode
from trainer.__main__ import main
from trainer.data import DataError
from trainer.fit_run import Display
from trainer.recalibrate import NewRates, Recalibration, recalibrate


@pytest.fixture
def new_good(tmp_path: Path, good_images: list[bytes], good_folder_of_bolts: Path) -> Path:
    """Nine pictures of six parts, of sizes that training has not seen, and a broken file."""
    folder = tmp_path / "new"
    folder.mkdir()
    for number in range(9):
        picture = cv2.imdecode(np.frombuffer(good_images[number % 6], np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        assert cv2.imwrite(str(folder / f"{number}.png"), cv2.resize(picture, (44 + 2 * number, 44)))
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


@pytest.fixture
def job(artifacts_folder: Path, new_good: Path, tmp_path: Path) -> Recalibration:
    return Recalibration(
        artifact=artifacts_folder / "bolt",
        data=new_good,
        path=tmp_path / "out" / "bolt" / "2",
        version="2",
        rates=NewRates(),
        accept_shift=True,
        device=torch.device("cpu"),
        backend="torch",
        threads=1,
    )


def golden(of: Artifact) -> list[bytes]:
    return [(of.path / one.file).read_bytes() for one in of.manifest.golden]


def test_only_the_calibration_is_new_and_the_manifest_says_from_what(
    job: Recalibration, silent_display: Display, said: list[str], source_weights: Mapping[str, torch.Tensor]
) -> None:
    old, new = load_artifact(job.artifact), recalibrate(job, silent_display)
    assert (new.path / TENSORS).read_bytes() == (old.path / TENSORS).read_bytes()
    assert (new.manifest.golden, golden(new)) == (old.manifest.golden, golden(old))
    assert len(new.calibration.scores) == 6, "three of the nine show a part again"
    assert new.calibration.scores != old.calibration.scores
    assert new.calibration.ng_rate == old.calibration.ng_rate
    record = new.manifest.recalibration
    assert record is not None
    assert (record.from_sha256, record.images, record.images_unreadable) == (old.sha256, 9, ("broken.png",))
    assert record.independent == 6
    assert record.groups == (("0.png", "6.png"), ("1.png", "7.png"), ("2.png", "8.png"))
    assert new.manifest.version == "2"
    assert new.manifest.training == old.manifest.training
    assert new.manifest.input_statistics != old.manifest.input_statistics, "drift is watched against the new images"
    assert any(line.startswith("beware: near-duplicates: the 9 images are of 6 scenes") for line in said)
    assert any(line.startswith("beware: 6 held-out images are few") for line in said)


def test_rates_can_be_changed(
    job: Recalibration, silent_display: Display, source_weights: Mapping[str, torch.Tensor]
) -> None:
    new = recalibrate(replace(job, rates=NewRates(review_rate=0.4, ng_rate=0.2, map_rate=0.3)), silent_display)
    assert (new.calibration.review_rate, new.calibration.ng_rate) == (0.4, 0.2)
    assert new.calibration.map_scale.rate_promised == 0.3


def test_the_training_images_are_refused(
    job: Recalibration, good_folder_of_bolts: Path, silent_display: Display, source_weights: Mapping[str, torch.Tensor]
) -> None:
    with pytest.raises(DataError, match="was trained on"):
        recalibrate(replace(job, data=good_folder_of_bolts), silent_display)
    assert not job.path.exists()


def test_some_training_images_among_new_ones_are_refused_by_name_and_held_out_ones_are_not(
    job: Recalibration, good_folder_of_bolts: Path, silent_display: Display, source_weights: Mapping[str, torch.Tensor]
) -> None:
    training = load_artifact(job.artifact).manifest.training
    files = {hashlib.sha256(file.read_bytes()).hexdigest(): file for file in good_folder_of_bolts.iterdir()}
    assert files.keys() == {*training.trained, *training.held_out}
    held_out, trained = files[training.held_out[0]], files[training.trained[0]]
    shutil.copy(held_out, job.data / "held-out.png")
    assert recalibrate(job, silent_display).manifest.recalibration is not None
    shutil.copy(trained, job.data / "known.png")
    with pytest.raises(DataError, match=r"was trained on 1 of these 11 images \(known\.png\)"):
        recalibrate(job, silent_display)


def test_pictures_far_outside_the_levels_of_training_are_refused_and_widen_them_where_that_is_accepted(
    job: Recalibration, silent_display: Display, source_weights: Mapping[str, torch.Tensor]
) -> None:
    dark = cv2.imread(str(job.data / "3.png"))
    assert dark is not None
    assert cv2.imwrite(str(job.data / "3.png"), (dark // 6).astype(np.uint8))
    with pytest.raises(DataError, match=r"3\.png: the picture's .* times below .* give --accept-shift"):
        recalibrate(replace(job, accept_shift=False), silent_display)
    assert not job.path.exists()
    old, new = load_artifact(job.artifact).manifest.levels, recalibrate(job, silent_display).manifest.levels
    assert old is not None
    assert new is not None
    assert new.mean_low < old.mean_low / 3
    assert new.mean_high >= old.mean_high


def test_images_that_the_old_calibration_rejects_need_a_word(
    job: Recalibration, silent_display: Display, tmp_path: Path, source_weights: Mapping[str, torch.Tensor]
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(8):
        assert cv2.imwrite(str(folder / f"{number}.png"), random.integers(0, 256, (40, 40, 3), dtype=np.uint8))
    other = replace(job, data=folder, accept_shift=False)
    with pytest.raises(DataError, match="8 of 8 new good images are NG"):
        recalibrate(other, silent_display)
    assert len(recalibrate(replace(other, accept_shift=True), silent_display).calibration.scores) == 8


def test_too_few_images_are_refused(job: Recalibration, silent_display: Display, tmp_path: Path) -> None:
    for number in range(3):
        (job.data / f"{number}.png").unlink()
    with pytest.raises(DataError, match="6 usable images"):
        recalibrate(job, silent_display)


def test_the_command_writes_a_version_beside_and_never_over(
    job: Recalibration, tmp_path: Path, capsys: pytest.CaptureFixture[str], source_weights: Mapping[str, torch.Tensor]
) -> None:
    line = ["recalibrate", str(job.artifact), str(job.data), "--out", str(tmp_path / "line")]
    line += ["--accept-shift", "--backend", "torch", "--threads", "1", "--version"]
    assert main([*line, "7"]) == 0
    assert load_artifact(tmp_path / "line" / "bolt" / "7").manifest.version == "7"
    assert main([*line, "7"]) == ExitCode.OUTPUT
    assert "is there already" in capsys.readouterr().err
    assert main([*line, "../7"]) == ExitCode.USAGE
    assert not (tmp_path / "line" / "7").exists()
