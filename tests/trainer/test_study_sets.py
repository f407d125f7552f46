"""IDX files and light-levelled pictures become folders that the trainer and the evaluation read."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from trainer.data import DataError, image_files, read_pixels
from trainer.labelled import read_labelled_set
from trainer.study.fashion import CLASS_NAMES
from trainer.study.plan import DataPlan
from trainer.study.sets import study_sets
from trainer.training_set import read_training_set

PER_CLASS = {"train": 12, "t10k": 5}


@pytest.fixture
def idx_folder(tmp_path: Path) -> Path:
    """The four files, packed, with pictures of noise whose corner tells class and number."""
    folder = tmp_path / "idx"
    folder.mkdir()
    for part, count in PER_CLASS.items():
        labels = np.tile(np.arange(10, dtype=np.uint8), count)
        pictures = np.random.default_rng(0).integers(0, 200, (len(labels), 28, 28), dtype=np.uint8)
        pictures[:, 0, 0] = labels
        pictures[:, 0, 1] = np.arange(len(labels)) // 10
        head = struct.pack(">4I", 2051, len(labels), 28, 28)
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + pictures.tobytes()))
        tail = struct.pack(">2I", 2049, len(labels)) + labels.tobytes()
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(tail))
    return folder


def test_one_class_is_good_and_all_others_are_defects(idx_folder: Path, tmp_path: Path) -> None:
    plan = DataPlan(name="fashion", kind="fashion-mnist", path=idx_folder, classes=(2, 9))
    sets = list(study_sets(plan, tmp_path / "out"))
    assert [one.name for one in sets] == ["fashion-2-pullover", "fashion-9-boot"]
    assert {one.group for one in sets} == {"fashion"}
    good = read_training_set(sets[0].path)
    assert len(good.files) == PER_CLASS["train"]
    assert {int(read_pixels(file)[0, 0, 0]) for file in good.files} == {2}
    labelled = read_labelled_set(sets[0].path)
    assert len(labelled) == 10 * PER_CLASS["t10k"]
    for image in labelled:
        label = int(read_pixels(image.file)[0, 0, 0])
        assert image.defect == ("good" if label == 2 else CLASS_NAMES[label])


def test_subsets_are_as_large_as_asked_and_the_same_every_time(idx_folder: Path, tmp_path: Path) -> None:
    def drawn(out: str, seed: int) -> list[bytes]:
        plan = DataPlan(
            name="f",
            kind="fashion-mnist",
            path=idx_folder,
            classes=(1,),
            train_images=8,
            test_good=3,
            test_others=11,
            draw_seed=seed,
        )
        (found,) = study_sets(plan, tmp_path / out)
        labelled = read_labelled_set(found.path)
        assert len(image_files(found.path / "train" / "good")) == 8
        assert sum(not image.anomalous for image in labelled) == 3
        assert sum(image.anomalous for image in labelled) == 11
        return [file.read_bytes() for file in image_files(found.path / "train" / "good")]

    assert drawn("a", 0) == drawn("b", 0) != drawn("c", 1)


def test_missing_or_damaged_idx_files_are_named(idx_folder: Path, tmp_path: Path) -> None:
    plan = DataPlan(name="f", kind="fashion-mnist", path=idx_folder)
    (idx_folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"\0\0"))
    with pytest.raises(DataError, match="damaged"):
        list(study_sets(plan, tmp_path / "out"))
    (idx_folder / "t10k-images-idx3-ubyte.gz").unlink()
    (idx_folder / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match="dataset-fashion-mnist"):
        list(study_sets(plan, tmp_path / "out"))
    assert list((tmp_path / "out").iterdir()) == []


def test_levelled_pictures_all_have_the_training_sets_median(tmp_path: Path) -> None:
    data = tmp_path / "data"
    random = np.random.default_rng(1)
    for folder, light in (("train/good", 120), ("test/good", 60), ("test/dent", 180)):
        (data / folder).mkdir(parents=True)
        for number in range(3):
            grain = random.normal(light, 10, (20, 20)).clip(0, 255).astype(np.uint8)
            assert cv2.imwrite(str(data / folder / f"{number}.png"), grain)
    (data / "ground_truth" / "dent").mkdir(parents=True)
    assert cv2.imwrite(str(data / "ground_truth" / "dent" / "0_mask.png"), np.eye(20, dtype=np.uint8) * 255)
    (data / "test" / "dent" / "broken.png").write_bytes(b"no picture")
    (found,) = study_sets(DataPlan(name="d", path=data, level_light=True), tmp_path / "out")
    pictures = [file for file in found.path.rglob("*.png") if "ground_truth" not in str(file) and file.stem != "broken"]
    assert len(pictures) == 9
    medians = [float(np.median(read_pixels(file))) for file in pictures]
    assert max(medians) - min(medians) <= 1
    assert medians[0] == pytest.approx(120, abs=2)
    masks = [image.mask_file for image in read_labelled_set(found.path) if image.mask_file]
    assert [file.name for file in masks] == ["0_mask.png"]


def test_a_set_without_levelling_is_taken_where_it_lies(tmp_path: Path) -> None:
    (found,) = study_sets(DataPlan(name="d", path=tmp_path), tmp_path / "out")
    assert found.path == tmp_path
    with pytest.raises(DataError, match="is not there"):
        list(study_sets(DataPlan(name="d", path=tmp_path / "none"), tmp_path / "out"))
