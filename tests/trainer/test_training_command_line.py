"""`python -m trainer`: exit codes, and a sentence that names what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from models.artifact import active_artifact, load_artifact
from models.backends import pool
from models.exit_codes import ExitCode
from models.heads.mkd.config import RECIPES, MkdConfig
from models.heads.registry import method_names, method_of
from models.sources.weights import SourceWeightsError
from trainer.__main__ import main
from trainer.cli import commands as subject
from trainer.cli.arguments import parser
from trainer.cli.method_list import default_settings
from trainer.cli.settings import settings_of
from trainer.config import TrainingSettings

TINY = ("--image-size", "32", "--set", "steps=2", "--set", "batch_size=4", "--backend", "torch", "--threads", "1",
        "--no-forecast")  # fmt: skip


@pytest.fixture
def fit(good_folder_of_bolts: Path, tmp_path: Path) -> list[str]:
    """The command line of a tiny run."""
    return ["fit", str(good_folder_of_bolts), "--product", "bolt", "--out", str(tmp_path / "artifacts"), *TINY]


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.strip().splitlines()[-1]


def settings(*arguments: str) -> TrainingSettings:
    return settings_of(parser().parse_args(["fit", "data", "--product", "bolt", *arguments]))


def test_tiles_are_fitted_with_a_method_whose_scores_of_different_places_can_be_compared(tmp_path: Path) -> None:
    assert settings().method.method == "mkd"
    assert settings("--view", "tiles").method.method == "patchcore"
    assert settings("--image-size", "auto", "--smallest-defect", "12").method.method == "patchcore"
    assert settings("--view", "tiles", "--method", "padim").method.method == "padim"
    file = tmp_path / "settings.toml"
    file.write_text('view = "tiles"\n')
    assert settings("--config", str(file)).method.method == "patchcore"
    file.write_text('view = "tiles"\n[method]\nmethod = "mkd"\n')
    assert settings("--config", str(file)).method.method == "mkd"


def test_fit_writes_an_artifact_and_says_where(
    fit: list[str],
    tmp_path: Path,
    source_weights: Mapping[str, torch.Tensor],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(fit) == 0
    artifact = load_artifact(active_artifact(tmp_path / "artifacts" / "bolt"))
    told = capsys.readouterr().err
    assert f"{artifact.path}: {artifact.sha256[:12]}" in told
    assert "12 images of good parts" in told
    assert "NG above" in told
    same = [*fit, "--version", artifact.path.name]
    assert main(same) == ExitCode.OUTPUT
    assert "give --replace, or another --version" in last_line(capsys)
    assert load_artifact(artifact.path).sha256 == artifact.sha256
    assert main([*same, "--replace", "--seed", "5"]) == 0
    assert load_artifact(artifact.path).sha256 != artifact.sha256


@pytest.mark.parametrize(
    "arguments", [[], ["fit"], ["fit", "data"], ["fit", "data", "--product", "x", "--normalisation", "big"]]
)
def test_a_command_line_that_cannot_be_read_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


@pytest.mark.parametrize("name", ["../bolt", ".bolt", "a b", "", "x" * 65])
def test_an_unsafe_product_name_is_refused(fit: list[str], name: str, capsys: pytest.CaptureFixture[str]) -> None:
    fit[fit.index("bolt")] = name
    assert main(fit) == ExitCode.USAGE
    assert "the product" in last_line(capsys)


def test_an_unsafe_version_is_refused(fit: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*fit, "--version", "../2"]) == ExitCode.USAGE
    assert "the version '../2' cannot be a name" in last_line(capsys)


@pytest.mark.parametrize(
    ("arguments", "setting"),
    [
        (["--image-size", "100"], "--image-size (image_size): "),
        (["--set", "steps=0"], "--set steps: "),
        (["--set", "batch_size=1"], "batch_size"),
        (["--hold-out", "1.5"], "hold_out"),
        (["--set", "learning_rate=-1"], "learning_rate"),
        (["--ng-rate", "0"], "ng_rate"),
        (["--set", "map_power=9"], "map_power"),
        (["--augment-copies", "3"], "more than one copy needs a rotation"),
        (["--set", "taps=pool5", "--set", "score_taps=pool2"], "score_taps pool2 are not among the trained taps"),
        (["--set", "step=3"], "did you mean steps?"),
        (["--set", "steps"], "--set takes NAME=VALUE"),
        (["--method", "padin"], "did you mean padim?"),
        (["--source", "vgg17"], "vgg17"),
    ],
)
def test_a_bad_setting_is_named(
    fit: list[str], arguments: list[str], setting: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*fit, "--set", "recipe=paper", *arguments]) == ExitCode.USAGE
    assert setting in last_line(capsys)
    assert not (tmp_path / "artifacts").exists()


def test_a_folder_that_is_not_there_is_named(fit: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    fit[1] = "/nowhere/at/all"
    assert main(fit) == ExitCode.INPUT
    assert last_line(capsys).startswith("error: /nowhere/at/all is not a folder")


def test_missing_source_weights_list_the_ways(
    fit: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: object) -> None:
        raise SourceWeightsError("the source weights are not on this machine. Any one of these brings them: ...")

    monkeypatch.setattr(pool, "load_source_weights", missing)
    assert main(fit) == ExitCode.INPUT
    assert "Any one of these brings them" in last_line(capsys)


@pytest.mark.parametrize("device", ["cuda", "cuda:7", "toaster"])
def test_a_device_that_is_not_here_is_refused(
    fit: list[str], device: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main([*fit, "--device", device]) == ExitCode.USAGE
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
    assert main(fit) == ExitCode.OUTPUT
    assert last_line(capsys) == "error: artifacts/.work/bolt/checkpoint.part: No space left on device"


def test_evaluating_what_is_no_artifact_names_the_file(
    artifacts_folder: Path, good_folder_of_bolts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(artifacts_folder / "bolt"), str(good_folder_of_bolts)]) == ExitCode.INPUT
    assert "has no folder test" in last_line(capsys)
    assert main(["evaluate", str(tmp_path), str(good_folder_of_bolts)]) == ExitCode.INPUT
    assert "neither an artifact (no manifest.json) nor a product with versions in it" in last_line(capsys)
    for folder in ("good", "scratch"):
        (tmp_path / "test" / folder).mkdir(parents=True)
        (tmp_path / "test" / folder / "a.png").write_bytes((good_folder_of_bolts / "000.png").read_bytes())
    assert main(["evaluate", str(tmp_path / "nowhere"), str(tmp_path)]) == ExitCode.INPUT
    assert last_line(capsys) == f"error: {tmp_path / 'nowhere'}: there is no such folder"


def test_what_is_not_given_is_the_default() -> None:
    assert settings() == TrainingSettings()
    assert settings().method == MkdConfig()


def test_a_recipe_brings_its_settings_and_set_changes_one_of_them() -> None:
    chosen = settings("--set", "recipe=paper", "--set", "lambda_dir=0.5", "--set", "gaussian=false",
                      "--set", "attribution=smoothgrad")  # fmt: skip
    assert chosen.method == MkdConfig(recipe="paper", lambda_dir=0.5, gaussian=False, attribution="smoothgrad")
    reference = {"recipe": "reference", **RECIPES["reference"]}
    assert settings("--set", "recipe=reference").method == MkdConfig.model_validate(reference)


def test_every_ablation_of_the_paper_can_be_switched() -> None:
    words = ("recipe=paper", "taps=pool4,pool5", "cloner=equal", "loss=dir", "score_loss=dir", "map_loss=dir",
             "lambda_dir=auto", "batchnorm=false")  # fmt: skip
    chosen = settings(*(part for word in words for part in ("--set", word))).method
    assert isinstance(chosen, MkdConfig)
    assert (chosen.taps, chosen.cloner, chosen.loss) == (("pool4", "pool5"), "equal", "dir")
    assert (chosen.lambda_dir, chosen.batchnorm) == ("auto", False)


def test_views_are_given_as_tap_and_window() -> None:
    views = ("--set", "score_views=pool3:25,pool4:100", "--set", "map_views=none")
    chosen = settings(*views, "--set", "attribution=gradients").method
    assert isinstance(chosen, MkdConfig)
    assert [(view.tap, view.window) for view in chosen.score_views] == [("pool3", 25), ("pool4", 100)]
    assert chosen.map_views == ()


def test_the_flags_of_training_reach_the_settings() -> None:
    chosen = settings(
        *("--seed", "3", "--hold-out", "0.4"),
        *("--augment-copies", "2", "--augment-rotation", "20", "--augment-scale", "0.9", "1.05"),
        *("--source", "vgg16-torchvision", "--normalisation", "unit", "--review-rate", "0.1"),
    )
    assert (chosen.seed, chosen.hold_out, chosen.review_rate) == (3, 0.4, 0.1)
    assert chosen.augmentation.model_dump() == {"copies": 2, "rotation": 20, "scale_low": 0.9, "scale_high": 1.05}
    assert (chosen.source, chosen.normalisation) == ("vgg16-torchvision", "unit")


def test_what_is_the_same_part_is_said_by_a_flag_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('[augmentation]\nsame = "both"\n')
    assert settings().augmentation.same == "none"
    assert settings("--config", str(file)).augmentation.same == "both"
    assert settings("--config", str(file), "--augment-same", "mirrored").augmentation.same == "mirrored"


def test_a_toml_file_says_the_same_and_flags_come_over_it(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(
        'image_size = 64\nseed = 5\n[method]\nmethod = "patchcore"\nbank_size = 50\n[augmentation]\nrotation = 5.0\n'
    )
    chosen = settings("--config", str(file), "--seed", "6", "--set", "reweight=true")
    same = settings("--method", "patchcore", "--set", "bank_size=50", "--set", "reweight=true", "--image-size", "64",
                    "--seed", "6", "--augment-rotation", "5")  # fmt: skip
    assert chosen == same
    assert settings("--config", str(file), "--method", "padim").method == settings("--method", "padim").method


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image-size = 64", "did you mean image_size?"),
        ("seed = ", "is not TOML"),
        ('method = "padim"', r"method is a table: \[method\]"),
        ('[method]\nmethod = "padim"\nbank_size = 3', "the method padim has no setting 'bank_size'"),
    ],
)
def test_a_toml_file_that_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=words):
        settings("--config", str(file))


def test_the_methods_are_listed_with_settings_that_can_be_typed_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods"]) == 0
    told = capsys.readouterr().err
    for method in (method_of(name) for name in method_names()):
        assert f"{method.name}" in told
        assert method.when in told
        words = [f"{name}={value}" for name, value in default_settings(method).items()]
        assert all(f"--set {word}\n" in told for word in words)
        typed = settings("--method", method.name, *(part for word in words for part in ("--set", word)))
        assert typed.method == method.Config.model_validate({"method": method.name})


def test_a_setting_of_a_method_given_as_a_flag_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for flag, words in (("--steps", "give --set steps=VALUE"), ("--image-sise", "did you mean --image-size?")):
        with pytest.raises(SystemExit) as caught:
            settings(flag, "3")
        assert caught.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert words in line
