"""What fit writes is a version of a product; a plain artifact becomes the first; every command says which it takes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from models.artifact import SUMS, ArtifactError, active_artifact, load_artifact
from models.exit_codes import ExitCode
from models.state_file import STATE_FILE
from models.writing import NotWritable
from trainer.__main__ import main
from trainer.adopt import adopt
from trainer.cli.next_command import next_command
from trainer.cli.place import place_of


@pytest.fixture
def plain(artifacts_folder: Path, tmp_path: Path) -> Path:
    """A plain artifact of one's own."""
    shutil.copytree(artifacts_folder / "bolt", tmp_path / "line" / "bolt")
    return tmp_path / "line" / "bolt"


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_the_time_names_a_version_and_two_of_one_second_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    names = []
    for _ in range(3):
        place = place_of(tmp_path, "bolt", "", replace=False)
        place.path.mkdir(parents=True)
        names.append(place.version)
    assert names == ["20231114-221320", "20231114-221320-2", "20231114-221320-3"]


def test_a_version_that_is_there_is_never_overwritten_unasked(tmp_path: Path) -> None:
    (tmp_path / "bolt" / "2").mkdir(parents=True)
    with pytest.raises(NotWritable, match="bolt/2 is there already: give --replace, or another --version"):
        place_of(tmp_path, "bolt", "2", replace=False)
    assert place_of(tmp_path, "bolt", "2", replace=True).path == tmp_path / "bolt" / "2"


def test_beside_a_plain_artifact_a_version_needs_adoption_first(plain: Path) -> None:
    with pytest.raises(NotWritable, match=f"`mkd-train adopt {plain}` makes it the first version"):
        place_of(plain.parent, "bolt", "", replace=True)
    adopt(plain)
    assert place_of(plain.parent, "bolt", "7", replace=False).path == plain / "7"


def test_an_adopted_artifact_has_every_byte_that_it_had(
    plain: Path, capsys: pytest.CaptureFixture[str], artifacts_folder: Path
) -> None:
    before = load_artifact(plain)
    assert main(["adopt", str(plain)]) == ExitCode.DONE
    assert "the first version of bolt" in last_line(capsys)
    after = active_artifact(plain)
    assert after == plain / before.manifest.version
    assert load_artifact(after).sha256 == before.sha256
    assert [each.name for each in plain.iterdir()] == [before.manifest.version]
    assert main(["adopt", str(plain)]) == ExitCode.INPUT
    assert last_line(capsys) == f"error: {plain}: has versions already"
    assert main(["adopt", str(plain.parent / "nut")]) == ExitCode.INPUT
    assert "is no artifact" in last_line(capsys)


def test_a_damaged_artifact_is_not_adopted_and_stays_as_it_was(plain: Path) -> None:
    (plain / "head.safetensors").write_bytes(b"half")
    with pytest.raises(ArtifactError, match="its SHA-256 is"):
        adopt(plain, "1")
    assert (plain / SUMS).is_file()
    assert [each.name for each in plain.parent.iterdir()] == ["bolt"]


def test_what_a_service_would_serve_is_said(plain: Path) -> None:
    adopt(plain, "3")
    for version in ("2", "4"):
        shutil.copytree(plain / "3", plain / version)
    assert "serves this version of bolt" in place_of(plain.parent, "bolt", "4", replace=True).served_words()
    assert "goes on with version 4 of bolt" in place_of(plain.parent, "bolt", "2", replace=True).served_words()
    pins = '{"schema_version": 1, "generation": 1, "products": {"bolt": {"pin": "3"}}}'
    (plain.parent / STATE_FILE).write_text(pins)
    assert "goes on with version 3 of bolt" in place_of(plain.parent, "bolt", "4", replace=True).served_words()


def test_the_next_command_is_an_evaluation_where_there_are_labelled_pictures(tmp_path: Path) -> None:
    made, out = Path("my artifacts/bolt/1"), Path("my artifacts")
    assert next_command(made, tmp_path, out) == "mkd-serve --artifacts 'my artifacts'"
    (tmp_path / "test").mkdir()
    assert next_command(made, tmp_path, out) == f"mkd-train evaluate 'my artifacts/bolt/1' {tmp_path}"


def test_commands_take_a_product_and_say_which_version(
    plain: Path,
    good_folder_of_bolts: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    source_weights: Mapping[str, torch.Tensor],
) -> None:
    made = adopt(plain, "1")
    machine = ["--backend", "torch", "--threads", "1"]
    for command in ("recalibrate", "mask"):
        more = ["--whole"] if command == "mask" else ["--accept-shift"]
        code = main([command, str(plain), str(good_folder_of_bolts), "--out", str(tmp_path / "new"), *more, *machine])
        assert f"taking version 1 of {plain}" in capsys.readouterr().err
        assert code == (ExitCode.DONE if command == "mask" else ExitCode.INPUT)  # it was trained on these
    (fresh,) = (tmp_path / "new" / "bolt").iterdir()
    again = load_artifact(fresh).manifest
    assert again.version == fresh.name
    assert again.recalibration is not None
    assert again.recalibration.from_sha256 == load_artifact(made).sha256
