"""Saved and loaded again, an artifact judges the same; its golden scores are checked, and changed ones refused."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.artifact import (
    MANIFEST,
    SUMS,
    Artifact,
    ArtifactError,
    GoldenRecord,
    golden_tolerance,
    load_artifact,
    write_artifact,
)
from models.detector import Detector, Row
from models.heads.base import Head, HeadOutput
from models.imaging.decode import decode_image
from models.imaging.preprocess import prepare

Rewrite = Callable[[Path, dict[str, object]], None]


def golden_bytes(artifact: Artifact) -> list[bytes]:
    return [(artifact.path / golden.file).read_bytes() for golden in artifact.manifest.golden]


@pytest.fixture
def copy(artifacts_folder: Path, tmp_path: Path) -> Path:
    """The bolt's artifact, to be changed."""
    return Path(shutil.copytree(artifacts_folder / "bolt", tmp_path / "bolt"))


def resum(folder: Path) -> None:
    """Makes the hashes right again after a change, as somebody would who forges an artifact or edits it by hand."""
    files = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file() and file.name != SUMS)
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in files]
    (folder / SUMS).write_text("".join(lines))


def edit_manifest(folder: Path, change: Callable[[dict[str, object]], None]) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    resum(folder)


def test_saved_and_loaded_it_gives_the_same_scores_and_maps(
    bolt: Artifact, torch_detector: Detector, good_images: list[bytes], tmp_path: Path
) -> None:
    again = write_artifact(tmp_path / "again", bolt.manifest, bolt.head, golden_bytes(bolt))
    images = [prepare(decode_image(data), bolt.preprocessing) for data in good_images]
    before, after = (
        torch_detector.judge([Row(image, artifact.head, artifact.source, True) for image in images])
        for artifact in (bolt, again)
    )
    for one, other in zip(before, after, strict=True):
        assert one.score == other.score
        assert one.map is not None
        assert other.map is not None
        assert np.array_equal(one.map, other.map)


def test_writing_the_same_thing_twice_gives_the_same_bytes_and_hash(bolt: Artifact, tmp_path: Path) -> None:
    first, second = (write_artifact(tmp_path / n, bolt.manifest, bolt.head, golden_bytes(bolt)) for n in ("a", "b"))
    assert first.sha256 == second.sha256 == bolt.sha256
    assert (first.path / SUMS).read_bytes() == (bolt.path / SUMS).read_bytes()


def test_the_hash_file_is_one_that_sha256sum_reads(bolt: Artifact) -> None:
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", SUMS], cwd=bolt.path, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.count(": OK") == 2 + len(bolt.manifest.golden)


def test_the_head_is_loaded_frozen_on_the_cpu(bolt: Artifact) -> None:
    assert all(not tensor.requires_grad and tensor.device.type == "cpu" for tensor in bolt.head.parameters())
    assert not bolt.head.training


def test_the_manifest_tells_how_the_artifact_came_about(bolt: Artifact) -> None:
    manifest = bolt.manifest
    assert (manifest.product, manifest.method, manifest.schema_version) == ("bolt", "mkd", 2)
    assert manifest.training.images_trained + manifest.training.images_held_out == 12
    assert manifest.training.settings["seed"] == 0
    assert len(bolt.calibration.scores) == manifest.training.images_held_out
    assert (
        manifest.packages["torch"] == torch.__version__.split("+")[0] or torch.__version__ in manifest.packages["torch"]
    )
    assert "Oxford" in manifest.source.licence


def test_golden_scores_hold_on_every_engine(bolt: Artifact, tile: Artifact, detector: Detector) -> None:
    bolt.verify_golden(detector)
    tile.verify_golden(detector)


def test_a_changed_golden_score_is_refused(copy: Path, torch_detector: Detector) -> None:
    tolerance = golden_tolerance(load_artifact(copy).calibration)

    def move(share: float) -> Callable[[dict[str, object]], None]:
        def change(manifest: dict[str, object]) -> None:
            golden = manifest["golden"]
            assert isinstance(golden, list)
            golden[1]["score"] += share * tolerance

        return change

    edit_manifest(copy, move(0.5))
    load_artifact(copy).verify_golden(torch_detector)
    edit_manifest(copy, move(1.0))
    with pytest.raises(ArtifactError, match="when it was made") as caught:
        load_artifact(copy).verify_golden(torch_detector)
    assert caught.value.file == copy / "golden" / "001.png"


def test_a_head_that_is_not_the_one_that_was_checked_is_refused(copy: Path, torch_detector: Detector) -> None:
    artifact = load_artifact(copy)
    with torch.no_grad():
        for parameter in artifact.head.parameters():
            parameter.mul_(1.5)
    with pytest.raises(ArtifactError, match="a difference of at most"):
        artifact.verify_golden(torch_detector)


def test_a_head_that_scores_nan_is_refused(copy: Path, torch_detector: Detector) -> None:
    artifact = load_artifact(copy)
    with torch.no_grad():
        next(iter(artifact.head.parameters())).fill_(float("nan"))
    with pytest.raises(ArtifactError, match="nan"):
        artifact.verify_golden(torch_detector)


def test_a_head_whose_map_is_not_finite_is_refused(
    copy: Path, torch_detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = load_artifact(copy)
    judge = type(artifact.head).judge

    def without_a_map(head: Head, images: torch.Tensor, *more: Any) -> HeadOutput:
        found: HeadOutput = judge(head, images, *more)
        return found._replace(maps=found.maps * float("nan"))

    monkeypatch.setattr(type(artifact.head), "judge", without_a_map)
    with pytest.raises(ArtifactError, match=r"000\.png: has a map that is not finite"):
        artifact.verify_golden(torch_detector)


def test_a_golden_image_that_is_no_image_is_refused(copy: Path, torch_detector: Detector) -> None:
    (copy / "golden" / "000.png").write_bytes(b"no image")
    resum(copy)
    with pytest.raises(ArtifactError, match=r"000\.png: cannot be read"):
        load_artifact(copy).verify_golden(torch_detector)


def test_the_tolerance_is_a_small_share_of_the_spread(bolt: Artifact) -> None:
    scores = bolt.calibration.scores
    assert 0 < golden_tolerance(bolt.calibration) < 0.05 * (scores[-1] - scores[0])


def test_a_golden_file_outside_of_its_folder_cannot_be_named() -> None:
    for name in ("golden/../../secret.png", "/etc/passwd.png", "golden/a/b.png", "elsewhere/000.png"):
        with pytest.raises(ValueError, match="file"):
            GoldenRecord(file=name, score=0.0, map_peak=0.0)
