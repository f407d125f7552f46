"""An artifact keeps the input statistics of its calibration images, and one that has none is read all the same."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from models.artifact import MANIFEST, SUMS, load_artifact
from models.imaging.input_statistics import STATISTICS
from trainer.data import image_files, split
from trainer.measure import measured_files


def test_the_held_out_images_are_measured(artifacts_folder: Path, good_folder_of_bolts: Path) -> None:
    artifact = load_artifact(artifacts_folder / "bolt")
    kept = artifact.manifest.input_statistics
    assert kept is not None
    files = image_files(good_folder_of_bolts)
    _, held_out = split(len(files), 0.4, seed=0)
    assert kept == measured_files([files[index] for index in held_out], artifact.judge.views)
    assert {len(values) for values in kept.values.values()} == {len(artifact.calibration.scores)}
    assert set(kept.values) == set(STATISTICS)


def test_an_artifact_of_before_is_read_and_has_none(artifacts_folder: Path, tmp_path: Path) -> None:
    old = tmp_path / "bolt"
    shutil.copytree(artifacts_folder / "bolt", old)
    manifest = json.loads((old / MANIFEST).read_text())
    del manifest["input_statistics"]
    (old / MANIFEST).write_text(json.dumps(manifest))
    lines = [line for line in (old / SUMS).read_text().splitlines(keepends=True) if not line.endswith(f"{MANIFEST}\n")]
    own = f"{hashlib.sha256((old / MANIFEST).read_bytes()).hexdigest()}  {MANIFEST}\n"
    (old / SUMS).write_text("".join(sorted([*lines, own], key=lambda line: line[66:])))
    assert load_artifact(old).manifest.input_statistics is None
