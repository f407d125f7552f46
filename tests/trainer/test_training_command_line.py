"""`python -m trainer`: exit codes, and a sentence that names what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from models.artifact import load_artifact
from models.backends import pool
from models.sources.weights import SourceWeightsError
from trainer import __main__ as subject
from trainer.__main__ import main, settings_of
from trainer.arguments import parser
from trainer.config import RECIPES, TrainingSettings

TINY = ("--image-size", "32", "--steps", "2", "--batch-size", "4", "--engine", "torch", "--threads", "1")


@pytest.fixture
def fit(good_folder_of_bolts: Path, tmp_path: Path) -> list[str]:
    """The command line of a tiny run."""
    return ["fit", str(good_folder_of_bolts), "--product", "bolt", "--out", str(tmp_path / "artifacts"), *TINY]


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.strip().splitlines()[-1]


def settings(*arguments: str) -> TrainingSettings:
    return settings_of(parser().parse_args(["fit", "data", "--product", "bolt", *arguments]))


def test_fit_writes_an_artifact_and_says_where(
    fit: list[str],
    tmp_path: Path,
    source_weights: Mapping[str, torch.Tensor],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(fit) == 0
    artifact = load_artifact(tmp_path / "artifacts" / "bolt")
    told = capsys.readouterr().err
    assert f"{artifact.path}: {artifact.sha256[:12]}" in told
    assert "12 images of good parts" in told
    assert "NG above" in told
    assert main(fit) == 1
    assert "give --replace, or another --product" in last_line(capsys)
    assert load_artifact(artifact.path).sha256 == artifact.sha256
    assert main([*fit, "--replace", "--seed", "5"]) == 0
    assert load_artifact(artifact.path).sha256 != artifact.sha256


@pytest.mark.parametrize(
    "arguments", [[], ["fit"], ["fit", "data"], ["fit", "data", "--product", "x", "--cloner", "big"]]
)
def test_a_command_line_that_cannot_be_read_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


@pytest.mark.parametrize("name", ["../bolt", ".bolt", "a b", "", "x" * 65])
def test_an_unsafe_product_name_is_refused(fit: list[str], name: str, capsys: pytest.CaptureFixture[str]) -> None:
    fit[fit.index("bolt")] = name
    assert main(fit) == 1
    assert "the product" in last_line(capsys)


def test_an_unsafe_version_is_refused(fit: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*fit, "--version", "../2"]) == 1
    assert "the version '../2' must match" in last_line(capsys)


@pytest.mark.parametrize(
    ("arguments", "setting"),
    [
        (["--image-size", "100"], "image_size"),
        (["--steps", "0"], "steps"),
        (["--batch-size", "1"], "batch_size"),
        (["--hold-out", "1.5"], "hold_out"),
        (["--lr", "-1"], "learning_rate"),
        (["--ng-rate", "0"], "ng_rate"),
        (["--map-power", "9"], "map_power"),
        (["--augment-copies", "3"], "more than one copy needs a rotation"),
        (["--taps", "pool5", "--score-taps", "pool2"], "score_taps pool2 are not among the trained taps"),
    ],
)
def test_a_bad_setting_is_named(
    fit: list[str], arguments: list[str], setting: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*fit, "--recipe", "paper", *arguments]) == 1
    assert setting in last_line(capsys)
    assert not (tmp_path / "artifacts").exists()


def test_a_folder_that_is_not_there_is_named(fit: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    fit[1] = "/nowhere/at/all"
    assert main(fit) == 1
    assert last_line(capsys).startswith("error: /nowhere/at/all is not a folder")


def test_missing_source_weights_list_the_ways(
    fit: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: object) -> None:
        raise SourceWeightsError("the source weights are not on this machine. Any one of these brings them: ...")

    monkeypatch.setattr(pool, "load_source_weights", missing)
    assert main(fit) == 1
    assert "Any one of these brings them" in last_line(capsys)


@pytest.mark.parametrize("device", ["cuda", "cuda:7", "toaster"])
def test_a_device_that_is_not_here_is_refused(
    fit: list[str], device: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main([*fit, "--device", device]) == 1
    assert device in last_line(capsys)


def test_an_interrupt_exits_with_130_and_says_how_to_go_on(
    fit: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subject, "train", interrupted)
    assert main(fit) == 130
    assert "the same command goes on from the last checkpoint" in last_line(capsys)


def test_a_full_disk_is_told_in_a_sentence(
    fit: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "artifacts/.work/bolt/checkpoint.part")

    monkeypatch.setattr(subject, "train", full)
    assert main(fit) == 1
    assert last_line(capsys) == "error: [Errno 28] No space left on device: 'artifacts/.work/bolt/checkpoint.part'"


def test_evaluating_what_is_no_artifact_names_the_file(
    good_folder_of_bolts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(tmp_path), str(good_folder_of_bolts)]) == 1
    assert "has no folder test" in last_line(capsys)
    for folder in ("good", "scratch"):
        (tmp_path / "test" / folder).mkdir(parents=True)
        (tmp_path / "test" / folder / "a.png").write_bytes((good_folder_of_bolts / "000.png").read_bytes())
    assert main(["evaluate", str(tmp_path / "nowhere"), str(tmp_path)]) == 1
    assert last_line(capsys) == f"error: {tmp_path / 'nowhere' / 'SHA256SUMS'}: is missing"


def test_what_is_not_given_is_the_default() -> None:
    assert settings() == TrainingSettings()


def test_a_recipe_brings_its_method_and_a_flag_changes_one_thing_of_it() -> None:
    chosen = settings("--recipe", "paper", "--lambda", "0.5", "--no-gaussian", "--attribution", "smoothgrad")
    changed = {"lambda_dir": 0.5, "gaussian": False, "attribution": "smoothgrad"}
    assert chosen.recipe.model_dump() == RECIPES["paper"].model_dump() | changed
    assert chosen.recipe_name == "paper"
    assert settings("--recipe", "reference").recipe == RECIPES["reference"]


def test_every_ablation_of_the_paper_can_be_switched() -> None:
    chosen = settings("--recipe", "paper", "--taps", "pool4", "pool5", "--cloner", "equal", "--loss", "dir",
                      "--score-loss", "dir", "--map-loss", "dir", "--lambda", "auto", "--no-batchnorm")  # fmt: skip
    recipe = chosen.recipe
    assert (recipe.taps, recipe.cloner, recipe.loss) == (("pool4", "pool5"), "equal", "dir")
    assert (recipe.lambda_dir, recipe.batchnorm) == ("auto", False)


def test_the_flags_of_training_reach_the_settings() -> None:
    chosen = settings(
        *("--steps", "7", "--lr", "0.01", "--schedule", "constant", "--seed", "3", "--hold-out", "0.4"),
        *("--augment-copies", "2", "--augment-rotation", "20", "--augment-scale", "0.9", "1.05"),
        *("--source", "vgg16-torchvision", "--normalisation", "unit", "--review-rate", "0.1", "--average-decay", "0"),
    )
    assert (chosen.steps, chosen.learning_rate, chosen.schedule, chosen.seed) == (7, 0.01, "constant", 3)
    assert (chosen.hold_out, chosen.review_rate, chosen.average_decay) == (0.4, 0.1, 0.0)
    assert chosen.augmentation.model_dump() == {"copies": 2, "rotation": 20, "scale_low": 0.9, "scale_high": 1.05}
    assert (chosen.source, chosen.normalisation) == ("vgg16-torchvision", "unit")
