"""An artifact of an earlier schema version loads, and judges by the same numbers."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from models.artifact import MANIFEST, SUMS, Artifact, ArtifactError, load_artifact


@pytest.fixture
def copy(artifacts_folder: Path, tmp_path: Path) -> Path:
    """The bolt's artifact, to be rewritten as an earlier version wrote it."""
    return Path(shutil.copytree(artifacts_folder / "bolt", tmp_path / "bolt"))


def rewrite(folder: Path, manifest: dict[str, Any]) -> None:
    (folder / MANIFEST).write_text(json.dumps(manifest))
    files = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file() and file.name != SUMS)
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in files]
    (folder / SUMS).write_text("".join(lines))


def as_schema_1(manifest: dict[str, Any]) -> dict[str, Any]:
    source = {name: value for name, value in manifest["source"].items() if name not in ("name", "precision")}
    calibration = {name: value for name, value in manifest["calibration"].items() if name != "map_rate"}
    training = {**manifest["training"], "settings": {**manifest["training"]["settings"], "map_rate": 0.125}}
    return {
        **manifest,
        "schema_version": 1,
        "source": {**source, "weights": "IMAGENET1K_FEATURES"},
        "calibration": calibration,
        "training": training,
    }


def test_schema_1_loads_with_its_source_its_map_rate_and_the_same_tensors(copy: Path, bolt: Artifact) -> None:
    rewrite(copy, as_schema_1(json.loads((copy / MANIFEST).read_text())))
    again = load_artifact(copy)
    assert again.manifest.schema_version == 2
    assert again.manifest.source == bolt.manifest.source
    assert again.manifest.calibration == bolt.manifest.calibration.model_copy(update={"map_rate": 0.125})
    assert again.manifest.golden == bolt.manifest.golden
    tensors = bolt.head.tensors()
    assert again.head.tensors().keys() == tensors.keys()
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in again.head.tensors().items())


@pytest.mark.parametrize("version", [0, 3, "2", None])
def test_a_version_that_is_unknown_is_refused_with_those_that_are_known(copy: Path, version: object) -> None:
    rewrite(copy, {**json.loads((copy / MANIFEST).read_text()), "schema_version": version})
    with pytest.raises(ArtifactError, match=f"has schema version {version}; this version reads 1, 2"):
        load_artifact(copy)


def test_schema_1_without_its_source_is_refused(copy: Path) -> None:
    old = as_schema_1(json.loads((copy / MANIFEST).read_text()))
    del old["source"]["weights"]
    rewrite(copy, old)
    with pytest.raises(ArtifactError, match=r"source\.weights: a name is missing"):
        load_artifact(copy)
