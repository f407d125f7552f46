"""An artifact trained in bfloat16 stays so: judged, evaluated and recalibrated in the arithmetic it was made in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.artifact import Artifact, load_artifact, write_artifact
from models.backends.pool import SourcePool
from models.detector import Detector, Row
from models.heads.registry import config_of
from models.imaging.decode import decode_image
from models.imaging.preprocess import prepare
from trainer.cli.arguments import parser
from trainer.cli.settings import settings_of
from trainer.config import TrainingSettings
from trainer.fit_run import Display
from trainer.recalibrate import NewRates, Recalibration, recalibrate
from trainer.run import TrainingJob, train

CPU = torch.device("cpu")
METHOD = config_of({"method": "mkd", "steps": 4, "batch_size": 4})
SETTINGS = TrainingSettings(method=METHOD, image_size=32, hold_out=0.4, source_precision="bfloat16")


@pytest.fixture(scope="module")
def half(
    good_folder_of_bolts: Path,
    tmp_path_factory: pytest.TempPathFactory,
    module_display: Display,
    source_weights: Mapping[str, torch.Tensor],
) -> Artifact:
    """The bolt, trained in bfloat16."""
    out = tmp_path_factory.mktemp("half")
    return train(
        TrainingJob(data=good_folder_of_bolts, product="half", out=out, settings=SETTINGS, threads=1), module_display
    )


def detector(*artifacts: Artifact) -> Detector:
    pool = SourcePool(CPU, threads=1)
    for artifact in artifacts:
        pool.require(artifact.source)
    return Detector(CPU, pool)


def rows(artifact: Artifact, images: list[bytes]) -> list[Row]:
    return [
        Row(prepare(decode_image(one), artifact.preprocessing), artifact.head, artifact.source, True) for one in images
    ]


def test_the_artifact_says_in_what_it_was_made(half: Artifact, told: list[str]) -> None:
    assert half.source.precision == half.manifest.source.precision == "bfloat16"
    assert half.manifest.training.settings["source_precision"] == "bfloat16"
    assert any("in bfloat16 on cpu by backend bfloat16" in line for line in told)


def test_its_golden_scores_hold_in_bfloat16_only(half: Artifact, good_images: list[bytes]) -> None:
    half.verify_golden(detector(half))
    record = half.manifest.source.model_copy(update={"precision": "float32"})
    other = replace(half, manifest=half.manifest.model_copy(update={"source": record}))
    scores = [[judged.score for judged in detector(one).judge(rows(one, good_images))] for one in (half, other)]
    assert scores[0] != scores[1]
    assert scores[0] == pytest.approx(scores[1], rel=0.1)


def test_products_of_both_precisions_share_a_batch_and_judge_as_alone(
    half: Artifact, artifacts_folder: Path, good_images: list[bytes]
) -> None:
    exact = load_artifact(artifacts_folder / "bolt")
    both = detector(half, exact)
    mixed = [row for pair in zip(rows(half, good_images), rows(exact, good_images), strict=True) for row in pair]
    scores = [judged.score for judged in both.judge(mixed)]
    for start, artifact in enumerate((half, exact)):
        alone = [judged.score for judged in both.judge(rows(artifact, good_images))]
        assert scores[start::2] == pytest.approx(alone, rel=1e-5)


def test_recalibration_keeps_the_precision(
    half: Artifact, good_images: list[bytes], tmp_path: Path, silent_display: Display
) -> None:
    data = tmp_path / "new"
    data.mkdir()
    for number, content in enumerate(good_images + [good_images[0][:-1] + b"\0"] * 0):
        (data / f"{number}.png").write_bytes(content)
    for number in range(len(good_images), 8):
        (data / f"{number}.png").write_bytes(good_images[number % len(good_images)] + b"\0" * number)
    job = Recalibration(
        artifact=half.path,
        data=data,
        path=tmp_path / "out" / "half" / "2",
        version="2",
        rates=NewRates(),
        accept_shift=True,
        device=CPU,
        threads=1,
    )
    assert recalibrate(job, silent_display).source == half.source


def test_artifacts_from_before_there_was_a_choice_are_of_float32(artifacts_folder: Path, tmp_path: Path) -> None:
    old = load_artifact(artifacts_folder / "bolt")
    plain = old.manifest.model_dump(mode="json")
    assert plain["source"].pop("precision") == "float32"
    read = type(old.manifest).model_validate(plain)
    golden = [(old.path / one.file).read_bytes() for one in read.golden]
    assert write_artifact(tmp_path / "bolt", read, old.head, golden).source.precision == "float32"


def test_float32_is_the_default_and_a_flag_chooses() -> None:
    fit = ["fit", "data", "--product", "bolt"]
    assert settings_of(parser().parse_args(fit)).source_precision == "float32"
    assert settings_of(parser().parse_args([*fit, "--source-precision", "bfloat16"])).source_precision == "bfloat16"
