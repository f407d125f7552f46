"""A fit heeds its checks: degenerate sets, near-duplicates, levels, golden defects, and what is passed over."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.artifact import Artifact, load_artifact
from models.calibration.recalibration import ScoresAndMaps
from models.image_folder import list_images
from models.imaging.decode import ImageError
from tests.conftest import bolt_picture, png
from trainer.config import TrainingSettings
from trainer.data import DataError
from trainer.fit_run import Display
from trainer.golden import kept_side
from trainer.labelled import read_labelled_set
from trainer.parts_split import split_parts, worst_of_groups
from trainer.run import TrainingJob, train
from trainer.training_set import read_training_set


def test_a_black_set_is_refused_before_any_training(tmp_path: Path, silent_display: Display) -> None:
    (tmp_path / "data").mkdir()
    for number in range(9):
        picture = np.full((40, 40, 3), number % 3, np.uint8)
        picture[0, number] = 5
        (tmp_path / "data" / f"{number}.png").write_bytes(png(picture))
    job = TrainingJob(tmp_path / "data", "bolt", tmp_path / "out", TrainingSettings(image_size=32))
    with pytest.raises(DataError, match="--accept-degenerate"):
        train(job, silent_display)
    assert not (tmp_path / "out").exists()


def test_an_artifact_keeps_a_defect_that_scores_above_its_good_pictures_and_its_levels(artifacts_folder: Path) -> None:
    artifact: Artifact = load_artifact(artifacts_folder / "bolt")
    golden = artifact.manifest.golden
    (defect,) = (one.score for one in golden if one.defect)
    assert defect > max(one.score for one in golden if not one.defect)
    assert artifact.manifest.degenerate is None
    assert artifact.preprocessing.version == 2
    artifact.judge.prepare_file(png(bolt_picture(3)))
    with pytest.raises(ImageError) as caught:
        artifact.judge.prepare_file(png((bolt_picture(3) // 8).astype(np.uint8)))
    assert caught.value.code == "image_level_unexpected"
    assert replace(artifact.judge, levels=None).prepare_file(png((bolt_picture(3) // 8).astype(np.uint8)))


def test_golden_pictures_are_never_kept_smaller_than_the_network_sees_them() -> None:
    assert kept_side(TrainingSettings(image_size=128).preprocessing(65535)) == 512
    assert kept_side(TrainingSettings(image_size=640).preprocessing(65535)) == 640
    tiles = TrainingSettings(image_size=128, view="tiles", tile_side=128)
    assert kept_side(tiles.preprocessing(65535, [(2000, 1000)])) is None


def test_bursts_stay_on_one_side_and_count_once() -> None:
    random = np.random.default_rng(0)
    scenes = random.normal(size=(12, 30))
    features = (np.repeat(scenes, 5, axis=0) + random.normal(0, 0.001, (60, 30))).astype(np.float32)
    split = split_parts(60, 0.2, 0, features)
    assert not set(split.labels[split.training]) & set(split.labels[split.held_out])
    assert (split.independent_trained + split.independent_held_out, len(split.groups(["x"] * 60))) == (12, 12)
    scores = np.arange(len(split.held_out), dtype=np.float32)
    counted = worst_of_groups(ScoresAndMaps(scores, scores[:, None, None]), split.labels[split.held_out])
    assert len(counted.scores) == split.independent_held_out
    assert counted.scores.tolist() == [5 * one + 4 for one in range(len(counted.scores))]


def test_what_is_passed_over_has_a_count_and_a_broken_link_is_an_unreadable_image(tmp_path: Path) -> None:
    for number in range(8):
        (tmp_path / f"{number}.jfif").write_bytes(png(bolt_picture(number)))
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.PNG").write_bytes(png(bolt_picture(9)))
    (tmp_path / "linked").symlink_to(tmp_path / "more")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "notes.txt").write_text("x")
    os.mkfifo(tmp_path / "pipe.png")
    found = read_training_set(tmp_path)
    assert found.passed_over == {
        "subfolder": ("more/a.PNG",),
        "linked_folder": ("linked",),
        "other_ending": ("notes.txt",),
        "no_file": ("pipe.png",),
    }
    assert [file.name for file, _ in found.unreadable] == ["gone.png"]
    assert "more/a.PNG" in list_images(tmp_path, subfolders=True).images
    assert len(read_training_set(tmp_path, subfolders=True).files) == 9


def test_masks_are_found_in_any_case_and_with_any_value_above_zero(tmp_path: Path) -> None:
    for name in ("test/good/a.png", "test/blot/B1.png", "ground_truth/blot/b1_MASK.PNG"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        picture = np.zeros((40, 40), np.uint8)
        picture[4:8, 4:8] = 1
        cv2.imwrite(str(tmp_path / "x.png"), picture)
        (tmp_path / name).write_bytes((tmp_path / "x.png").read_bytes())
    (image,) = (one for one in read_labelled_set(tmp_path) if one.anomalous)
    mask = image.mask(40, 40)
    assert mask is not None
    assert mask.sum() == 16
