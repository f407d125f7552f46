"""Two artifacts over the same parts: which verdicts differ, and whether that is more than chance."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.artifact import ArtifactError
from models.exit_codes import ExitCode
from trainer.__main__ import main
from trainer.compare import Change, Comparison, pairs_of
from trainer.data import DataError
from trainer.evaluate import Machine, judge_set
from trainer.fit_run import Display


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory, good_images: list[bytes], bad_image: bytes) -> Path:
    """3 good parts and 2 defective ones."""
    data = tmp_path_factory.mktemp("labelled")
    for folder, pictures in (("good", good_images[:3]), ("blot", [bad_image, bad_image])):
        (data / "test" / folder).mkdir(parents=True)
        for number, picture in enumerate(pictures):
            (data / "test" / folder / f"{number}.png").write_bytes(picture)
    return data


def test_a_difference_is_beyond_chance_by_mcnemars_exact_test() -> None:
    assert Change(100, 10, 10, 3, 3).p_value == pytest.approx(1.0)
    assert Change(100, 10, 10, 0, 0).p_value == 1.0
    assert Change(100, 6, 0, 6, 0).p_value == pytest.approx(2 * 0.5**6)  # all six of six on one side
    assert "beyond chance (p = 0.031)" in Change(100, 6, 0, 6, 0).words("good parts")
    assert "not beyond chance (p = 0.062)" in Change(100, 5, 0, 5, 0).words("good parts")


def test_verdicts_that_differ_are_counted_listed_and_shown(
    artifacts_folder: Path, labelled: Path, silent_display: Display
) -> None:
    machine = Machine(torch.device("cpu"), "torch", 1, None)
    first = judge_set(artifacts_folder / "bolt", labelled, machine, silent_display)
    flipped = {"OK": "NG", "REVIEW": "OK", "NG": "OK"}
    other = [replace(one, decision=flipped[one.decision]) if one.image.anomalous else one for one in first.found]  # type: ignore[arg-type]
    comparison = Comparison(first, replace(first, found=other), pairs_of(first.found, other))
    good, bad = comparison.change(anomalous=False), comparison.change(anomalous=True)
    assert (good.total, good.only_first, good.only_second) == (3, 0, 0)
    assert (bad.total, bad.only_first + bad.only_second) == (2, 2)
    assert len(comparison.changed) == 2
    assert comparison.lines[0].startswith("2 of 5 verdicts differ: ")
    with pytest.raises(DataError, match="no image that both"):
        pairs_of(first.found, [])


def test_the_command_writes_a_page_that_stands_alone(
    artifacts_folder: Path, labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bolt, out = str(artifacts_folder / "bolt"), tmp_path / "out"
    assert main(["compare", bolt, bolt, str(labelled), "--out", str(out), "--backend", "torch", "--threads", "1"]) == 0
    said = capsys.readouterr().err
    assert "0 of 5 verdicts differ: none" in said
    assert f"open {out / 'comparison.html'}" in said.replace("\n", "")
    page = (out / "comparison.html").read_text()
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    assert json.loads((out / "comparison.json").read_text())["good"]["p_value"] == 1.0


def test_an_artifact_that_is_not_there_is_named(labelled: Path, artifacts_folder: Path, tmp_path: Path) -> None:
    assert main(["compare", str(artifacts_folder / "bolt"), str(tmp_path / "none"), str(labelled)]) == ExitCode.INPUT
    machine = Machine(torch.device("cpu"), "torch", 1, None)
    with pytest.raises(ArtifactError):
        judge_set(tmp_path / "none", labelled, machine, None)  # type: ignore[arg-type]
