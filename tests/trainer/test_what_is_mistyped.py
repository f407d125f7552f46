"""What a stranger mistypes costs one line that says what, where and what would be right, before any work is done."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from models.exit_codes import ExitCode
from trainer.__main__ import main
from trainer.adopt import adopt


@pytest.fixture
def product(artifacts_folder: Path, tmp_path: Path) -> Path:
    """A product with the versions 1 and 2."""
    shutil.copytree(artifacts_folder / "bolt", tmp_path / "artifacts" / "bolt")
    folder = tmp_path / "artifacts" / "bolt"
    adopt(folder, "1")
    shutil.copytree(folder / "1", folder / "2")
    return folder


@pytest.fixture
def labelled(tmp_path: Path, good_images: list[bytes]) -> Path:
    for folder in ("good", "blot"):
        (tmp_path / "data" / "test" / folder).mkdir(parents=True)
        (tmp_path / "data" / "test" / folder / "0.png").write_bytes(good_images[0])
    return tmp_path / "data"


def newer_schema(artifact: Path) -> None:
    """Has the artifact say that a later release made it, with hashes that are right."""
    manifest, sums = artifact / "manifest.json", artifact / "SHA256SUMS"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "schema_version": 99}))
    digest = hashlib.sha256(manifest.read_bytes()).hexdigest()
    others = [line for line in sums.read_text().splitlines() if not line.endswith("manifest.json")]
    lines = sorted([*others, f"{digest}  manifest.json"], key=lambda line: line[66:])
    sums.write_text("".join(f"{line}\n" for line in lines))


def told(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of the error."""
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    return line


def test_a_version_or_product_that_is_not_there_names_those_that_are(
    product: Path, labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(product / "3"), str(labelled)]) == ExitCode.INPUT
    assert told(capsys) == f"error: {product / '3'}: there is no such folder; {product} has 1, 2"
    assert main(["evaluate", str(product.with_name("bolts")), str(labelled)]) == ExitCode.INPUT
    assert told(capsys).endswith(f"{product.parent} has bolt")
    assert main(["evaluate", str(product.parent), str(labelled)]) == ExitCode.INPUT
    assert told(capsys).endswith("it holds the products bolt: name one")


def test_an_artifact_of_a_newer_release_says_so(
    product: Path, labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newer_schema(product / "2")
    assert main(["evaluate", str(product), str(labelled)]) == ExitCode.INPUT
    line = told(capsys)
    assert str(product / "2" / "manifest.json") in line
    assert line.endswith(
        "has schema version 99; this version reads 1, 2: a newer release made it, which is needed here, too"
    )


@pytest.mark.parametrize("command", ["evaluate", "compare", "robustness", "fit", "preview"])
def test_a_folder_that_cannot_be_written_is_told_before_the_work(
    command: str, product: Path, labelled: Path, good_folder_of_bolts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = product / "1" / "manifest.json"
    arguments = {
        "evaluate": [str(product), str(labelled)],
        "compare": [str(product / "1"), str(product / "2"), str(labelled)],
        "robustness": [str(product), str(labelled)],
        "fit": [str(good_folder_of_bolts), "--product", "bolt"],
        "preview": [str(good_folder_of_bolts / "000.png")],
    }
    out = taken / "preview.png" if command == "preview" else taken
    assert main([command, *arguments[command], "--out", str(out)]) == ExitCode.OUTPUT
    assert told(capsys).endswith(f"{taken} is a file and no folder; give --out another folder")
