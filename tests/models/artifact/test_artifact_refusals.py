"""Every way in which an artifact can be damaged, noticed at load, with the file and the reason."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch

from models.artifact import MANIFEST, SUMS, TENSORS, ArtifactError, load_artifact

FILES = (MANIFEST, TENSORS, SUMS, "golden/000.png", "golden/001.png", "golden/002.png")
Manifest = dict[str, object]


@pytest.fixture
def copy(artifacts_folder: Path, tmp_path: Path) -> Path:
    """The bolt's artifact, to be damaged."""
    return Path(shutil.copytree(artifacts_folder / "bolt", tmp_path / "bolt"))


def resum(folder: Path) -> None:
    """Makes the hashes right again, so that what stands behind them is what is tested."""
    files = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file() and file.name != SUMS)
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in files]
    (folder / SUMS).write_text("".join(lines))


def edit_manifest(folder: Path, change: Callable[[Manifest], object]) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    resum(folder)


def refusal(folder: Path) -> ArtifactError:
    with pytest.raises(ArtifactError) as caught:
        load_artifact(folder)
    assert caught.value.reason
    assert str(caught.value).startswith(str(caught.value.file))
    return caught.value


def test_the_untouched_copy_loads(copy: Path) -> None:
    assert load_artifact(copy).manifest.product == "bolt"


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_anywhere_in_a_file_is_noticed(copy: Path, name: str) -> None:
    """The first and last bytes and 20 places between them; every byte of the small hash file."""
    file = copy / name
    whole = file.read_bytes()
    size = len(whole)
    places = {0, 1, 7, 8, size // 2, size - 2, size - 1}
    places |= set(np.random.default_rng(size).integers(0, size, 20).tolist())
    if name == SUMS:
        places = set(range(size))
    for number, place in enumerate(sorted(places)):
        changed = bytearray(whole)
        changed[place] ^= 1 << number % 8
        file.write_bytes(changed)
        refused = refusal(copy)
        if name != SUMS:
            assert refused.file == file
            assert "SHA-256" in refused.reason
    file.write_bytes(whole)
    load_artifact(copy)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_lost_or_gained_a_byte_is_noticed(copy: Path, name: str) -> None:
    whole = (copy / name).read_bytes()
    for changed in (whole[:-1], whole + b"\n", b""):
        (copy / name).write_bytes(changed)
        refusal(copy)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    refused = refusal(copy)
    assert refused.file == copy / name
    assert refused.reason == "is missing"


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere").reason == "is missing"


def test_a_folder_in_the_place_of_a_file_is_refused(copy: Path) -> None:
    (copy / TENSORS).unlink()
    (copy / TENSORS).mkdir()
    assert refusal(copy).file == copy / TENSORS


@pytest.mark.parametrize("name", [MANIFEST, TENSORS, "golden/000.png"])
def test_a_file_that_the_hashes_do_not_list_is_refused(copy: Path, name: str) -> None:
    lines = (copy / SUMS).read_text().splitlines(keepends=True)
    (copy / SUMS).write_text("".join(line for line in lines if not line.endswith(f"  {name}\n")))
    refused = refusal(copy)
    assert refused.file == copy / name
    assert "not listed" in refused.reason


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "golden/../manifest.json", ".hidden"])
def test_the_hash_file_cannot_lead_outside_of_the_folder(copy: Path, name: str) -> None:
    with (copy / SUMS).open("a") as stream:
        stream.write(f"{'0' * 64}  {name}\n")
    assert "no hash and file name" in refusal(copy).reason


@pytest.mark.parametrize("version", [0, 3, "2", None])
def test_an_unknown_schema_version_is_refused(copy: Path, version: object) -> None:
    edit_manifest(copy, lambda manifest: manifest.update(schema_version=version))
    refused = refusal(copy)
    assert refused.file == copy / MANIFEST
    assert "schema version" in refused.reason


def test_an_unknown_method_lists_the_known_ones(copy: Path) -> None:
    edit_manifest(copy, lambda manifest: manifest.update(method="magic"))
    reason = refusal(copy).reason
    assert reason.startswith("there is no method 'magic'; there are ")
    assert {"mkd", "padim", "patchcore"} <= set(re.findall(r"\w+", reason))


def test_an_extra_field_in_the_manifest_is_refused(copy: Path) -> None:
    edit_manifest(copy, lambda manifest: manifest.update(colour="red"))
    refused = refusal(copy)
    assert refused.file == copy / MANIFEST
    assert refused.reason.startswith("colour: ")


@pytest.mark.parametrize("part", ["preprocessing", "calibration", "source", "training", "head"])
def test_an_extra_field_deeper_in_the_manifest_is_refused(copy: Path, part: str) -> None:
    def change(manifest: Manifest) -> None:
        inner = manifest[part]
        assert isinstance(inner, dict)
        inner["colour"] = "red"

    edit_manifest(copy, change)
    assert "colour" in refusal(copy).reason


@pytest.mark.parametrize("field", ["product", "calibration", "golden", "source", "head", "preprocessing"])
def test_a_missing_field_is_named(copy: Path, field: str) -> None:
    edit_manifest(copy, lambda manifest: manifest.pop(field))
    assert refusal(copy).reason.startswith(field)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '"a"', "NaN", "\xff"])
def test_a_manifest_that_is_no_json_object_is_refused(copy: Path, text: str) -> None:
    (copy / MANIFEST).write_bytes(text.encode("latin-1"))
    resum(copy)
    assert refusal(copy).file == copy / MANIFEST


@pytest.mark.parametrize("name", ["../bolt", "", ".bolt", "a b", "x" * 65, "bolt\n"])
def test_a_product_with_an_unsafe_name_is_refused(copy: Path, name: str) -> None:
    edit_manifest(copy, lambda manifest: manifest.update(product=name))
    assert refusal(copy).reason.startswith("product")


def test_tensors_that_do_not_fit_the_manifest_are_refused(copy: Path) -> None:
    tensors = safetensors.torch.load_file(copy / TENSORS)
    name = next(iter(tensors))
    for changed in ({k: v for k, v in tensors.items() if k != name}, {**tensors, name: tensors[name][:1].contiguous()}):
        safetensors.torch.save_file(changed, copy / TENSORS)
        resum(copy)
        refused = refusal(copy)
        assert refused.file == copy / TENSORS
        assert "does not fit the manifest" in refused.reason


def test_a_tensor_file_that_is_none_is_refused(copy: Path) -> None:
    (copy / TENSORS).write_bytes(b"\x80\x04N." * 8)  # a pickle
    resum(copy)
    assert refusal(copy).file == copy / TENSORS


def test_a_score_that_is_no_number_cannot_hide_in_the_calibration(copy: Path) -> None:
    text = (copy / MANIFEST).read_text()
    first = json.loads(text)["calibration"]["scores"][0]
    (copy / MANIFEST).write_text(text.replace(str(first), "NaN", 1))
    resum(copy)
    assert refusal(copy).file == copy / MANIFEST
