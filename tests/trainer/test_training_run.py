"""Whole runs on the real source: repeatable to the byte, resumable, cached or not, and clean afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from models.artifact import SUMS, TENSORS, Artifact, load_artifact
from models.heads.base import Bar
from models.heads.registry import config_of
from trainer.config import Augmentation, TrainingSettings
from trainer.data import DataError, split
from trainer.fit_run import Display
from trainer.run import TrainingJob, train

METHOD = {"method": "mkd", "steps": 4, "batch_size": 4}
SETTINGS = TrainingSettings(method=config_of(METHOD), image_size=32, hold_out=0.4)


@pytest.fixture
def job(
    good_folder_of_bolts: Path,
    tmp_path: Path,
    source_weights: Mapping[str, torch.Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> TrainingJob:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    out = tmp_path / "out"
    return TrainingJob(
        data=good_folder_of_bolts, product="bolt", out=out, settings=SETTINGS, backend="torch", threads=1
    )


def sums(artifact: Artifact) -> str:
    return (artifact.path / SUMS).read_text()


def with_settings(job: TrainingJob, **fields: object) -> TrainingJob:
    return replace(job, settings=TrainingSettings.model_validate({**job.settings.model_dump(), **fields}))


class _InterruptingBar:
    def __init__(self, step: int | None) -> None:
        self.step = step

    def update(self, done: int, note: str = "") -> None:
        if done == self.step:
            raise KeyboardInterrupt


class Impatient:
    """A display at which Ctrl-C is pressed when a bar reaches a number."""

    def __init__(self, title: str, step: int) -> None:
        self.title, self.step = title, step

    def say(self, text: str) -> None:
        """Nothing."""

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Bar]:
        yield _InterruptingBar(self.step if title == self.title else None)


def test_the_same_seed_gives_the_same_artifact_to_the_byte_and_another_seed_another(
    job: TrainingJob, silent_display: Display
) -> None:
    first = train(job, silent_display)
    again = train(replace(job, out=job.out / "again"), silent_display)
    other = train(with_settings(replace(job, out=job.out / "other"), seed=1), silent_display)
    assert sums(first) == sums(again)
    assert first.sha256 == again.sha256
    assert (other.path / TENSORS).read_bytes() != (first.path / TENSORS).read_bytes()


def test_an_interrupted_run_goes_on_to_the_same_artifact(
    job: TrainingJob, silent_display: Display, said: list[str]
) -> None:
    whole = train(replace(job, out=job.out / "whole"), silent_display)
    with pytest.raises(KeyboardInterrupt):
        train(job, Impatient("training", 2))
    assert [file.name for file in job.work.iterdir()] == ["checkpoint.safetensors"]
    assert not job.path.exists()
    resumed = train(job, silent_display)
    assert "going on from the checkpoint at step 2" in said
    assert sums(resumed) == sums(whole)


def test_an_interrupt_while_the_source_runs_leaves_no_files(
    job: TrainingJob, silent_display: Display, said: list[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(job, Impatient("source activations", 12))
    assert [path for path in job.out.rglob("*") if path.is_file()] == []
    train(job, silent_display)
    assert not any("checkpoint" in line for line in said)


def test_nothing_but_the_artifact_is_left(job: TrainingJob, silent_display: Display) -> None:
    artifact = train(job, silent_display)
    assert [path.name for path in job.out.iterdir()] == ["bolt"]
    assert load_artifact(artifact.path).sha256 == artifact.sha256


def test_two_trainings_of_one_product_do_not_share_a_work_folder(job: TrainingJob, silent_display: Display) -> None:
    class Meanwhile(Impatient):
        """Begins another training of the same product while this one is at its first step."""

        @contextmanager
        def bar(self, title: str, total: int) -> Iterator[Bar]:
            if title == "training":
                with pytest.raises(DataError, match="another training of bolt is at work"):
                    train(job, silent_display)
            with silent_display.bar(title, total) as shown:
                yield shown

    artifact = train(job, Meanwhile("", 0))
    assert [path.name for path in job.out.iterdir()] == ["bolt"]
    assert load_artifact(artifact.path).sha256 == artifact.sha256


def test_an_artifact_that_is_replaced_is_said(job: TrainingJob, silent_display: Display, said: list[str]) -> None:
    train(job, silent_display)
    assert not any("replaces" in line for line in said)
    train(job, silent_display)
    assert any(f"{job.path} holds an artifact already, which this one replaces" in line for line in said)


def test_other_settings_do_not_go_on_from_a_checkpoint(
    job: TrainingJob, silent_display: Display, said: list[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(job, Impatient("training", 2))
    train(with_settings(job, method={**METHOD, "learning_rate": 5e-4}), silent_display)
    assert not any("checkpoint" in line for line in said)


def test_a_cache_that_does_not_fit_gives_the_same_product_slower(
    job: TrainingJob, silent_display: Display, said: list[str]
) -> None:
    cached = train(job, silent_display)
    anew = train(replace(job, out=job.out / "anew", cache_limit_bytes=0), silent_display)
    assert any("do not fit the cache limit" in line for line in said)
    assert np.allclose(cached.calibration.scores, anew.calibration.scores, rtol=0.02)


def test_augmentation_says_what_it_costs_and_changes_the_head(
    job: TrainingJob, silent_display: Display, said: list[str]
) -> None:
    augmentation = Augmentation(copies=3, rotation=20, scale_low=0.9, scale_high=1.05)
    plain = train(job, silent_display)
    turned = train(
        with_settings(replace(job, out=job.out / "turned"), augmentation=augmentation.model_dump()), silent_display
    )
    assert any("the source runs over 21 images instead of 7" in line for line in said)
    assert turned.manifest.training.images_trained == 7
    assert (turned.path / TENSORS).read_bytes() != (plain.path / TENSORS).read_bytes()


def test_mirrored_copies_are_trained_on_and_the_artifact_says_what_it_cannot_tell_apart(
    job: TrainingJob, silent_display: Display, said: list[str]
) -> None:
    stepless = with_settings(job, method={"method": "padim", "dimensions": 20})
    plain = train(stepless, silent_display)
    assert not any("is not told from the others" in line for line in said)
    mirrored = train(
        with_settings(replace(stepless, out=job.out / "mirrored"), augmentation={"same": "both"}), silent_display
    )
    words = "mirrored left to right or upside down, or turned by 180 degrees counts as good and is not told"
    assert any(line.startswith("beware: a part that is ") and words in line for line in said)
    assert any("the source runs over 28 images instead of 7" in line for line in said)
    record = mirrored.manifest.training
    assert words in str(record.outcome["not_told_apart"])
    assert record.settings["augmentation"]["same"] == "both"  # type: ignore[index]
    assert record.images_trained == 7
    assert "not_told_apart" not in plain.manifest.training.outcome
    assert record.held_out == plain.manifest.training.held_out
    assert len(mirrored.calibration.scores) == len(plain.calibration.scores)
    assert (mirrored.path / TENSORS).read_bytes() != (plain.path / TENSORS).read_bytes()


def test_copies_that_pictures_cannot_have_are_refused_before_anything_is_done(
    job: TrainingJob, tmp_path: Path, silent_display: Display
) -> None:
    data = tmp_path / "wide"
    data.mkdir()
    for number in range(8):
        cv2.imwrite(str(data / f"{number}.png"), np.random.default_rng(number).integers(0, 256, (40, 60, 3), np.uint8))
    turned = with_settings(replace(job, data=data), augmentation={"same": "quarter_turns"})
    with pytest.raises(ValueError, match="needs square pictures; one has 60 x 40 pixels"):
        train(turned, silent_display)
    assert not (job.out / "bolt").exists()


def test_a_version_gets_its_own_folder_and_name(job: TrainingJob, silent_display: Display) -> None:
    artifact = train(replace(job, version="2024-a"), silent_display)
    assert artifact.path == job.out / "bolt" / "2024-a"
    assert artifact.manifest.version == "2024-a"
    assert train(replace(job, out=job.out / "plain"), silent_display).manifest.version == "20231114-221320"


def test_what_was_left_out_is_said_and_recorded(
    job: TrainingJob, good_folder_of_bolts: Path, tmp_path: Path, silent_display: Display, said: list[str]
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for file in good_folder_of_bolts.iterdir():
        (data / file.name).write_bytes(file.read_bytes())
    (data / "broken.png").write_bytes(b"no image")
    (data / "twin.png").write_bytes((data / "000.png").read_bytes())
    cv2.imwrite(str(data / "wide.png"), np.random.default_rng(0).integers(0, 256, (20, 90, 3), dtype=np.uint8))
    artifact = train(replace(job, data=data), silent_display)
    assert any(line.startswith("left out, unreadable: broken.png") for line in said)
    assert any("1 exact copies" in line for line in said)
    assert any(line.startswith("beware: the images have 2 sizes") for line in said)
    assert artifact.manifest.training.images_unreadable == ("broken.png",)


def test_too_few_images_leave_nothing_behind(job: TrainingJob, tmp_path: Path, silent_display: Display) -> None:
    with pytest.raises(DataError):
        train(replace(job, data=tmp_path), silent_display)
    assert not job.out.exists()


def test_only_held_out_images_calibrate_and_they_are_scored_as_the_service_scores_them(
    job: TrainingJob, silent_display: Display
) -> None:
    artifact = train(job, silent_display)
    _, held_out = split(12, SETTINGS.hold_out, SETTINGS.seed)
    assert len(artifact.calibration.scores) == len(held_out) == 5
    golden = sorted(record.score for record in artifact.manifest.golden if not record.defect)
    scores = artifact.calibration.scores
    # Golden are the lowest, the middle and the highest of the held-out images, as these are small enough to be whole.
    assert golden == pytest.approx([scores[0], scores[2], scores[4]], rel=1e-4)
