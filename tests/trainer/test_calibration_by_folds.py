"""Thresholds counted on all good pictures: none is judged by a head that has seen it or a near-duplicate of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from models.artifact import SUMS, Artifact, Manifest, active_artifact, load_artifact
from models.artifact.manifest import TrainingRecord
from models.calibration.conformal import Calibration
from models.calibration.recalibration import calibration_words
from models.exit_codes import ExitCode
from models.heads.base import FitRun, GoodParts, Head, HeadOutput, MethodConfig, SourceNeeds
from models.heads.registry import config_of, method_of
from models.sources.registry import Activations, SourceSpec
from service.products.product import ProductVersion
from service.rest.training_schemas import TrainingQuery
from service.rest.training_view import artifact_of
from tests.conftest import GOOD_IMAGES, bolt_picture, png
from trainer.__main__ import main
from trainer.config import Augmentation, TrainingSettings
from trainer.data_checks.group_split import folds_by_group
from trainer.few_images import folds_words
from trainer.fit_run import Display
from trainer.parts_split import parts_in_folds
from trainer.run import TrainingJob, train
from trainer.study.plan import StudyPlan

PADIM = config_of({"method": "padim", "dimensions": 20})
SETTINGS = TrainingSettings(method=PADIM, image_size=32, calibrate_by="folds", folds=3)
Seen = frozenset[bytes]


class RecordingMethod:
    """PaDiM whose heads remember what they were fitted to, and what they have judged, in the order of the fits."""

    own_tiles = True

    def __init__(self) -> None:
        self._padim = method_of("padim")
        self.seen: list[Seen] = []
        self.judged: list[set[bytes]] = []

    def needs(self, config: MethodConfig, source: SourceSpec) -> SourceNeeds:
        return self._padim.needs(config, source)

    def for_one_tile(self, config: MethodConfig, tiles: int) -> MethodConfig:
        found: MethodConfig = self._padim.for_one_tile(config, tiles)
        return found

    def fit(self, config: MethodConfig, parts: GoodParts, run: FitRun) -> Head:
        head = self._padim.fit(config, parts, run)
        seen = frozenset(keys(parts.batch(range(parts.count))[0]))
        judged: set[bytes] = set()
        self.seen.append(seen)
        self.judged.append(judged)
        judge = head.judge

        def recording(
            images: Tensor, activations: Activations, wants_map: Sequence[bool], further: Activations | None = None
        ) -> HeadOutput:
            judged.update(keys(images))
            return judge(images, activations, wants_map, further)

        head.judge = recording  # type: ignore[method-assign]
        return head


def keys(images: Tensor) -> Iterator[bytes]:
    return (image.contiguous().numpy().tobytes() for image in images)


@pytest.fixture
def method(monkeypatch: pytest.MonkeyPatch) -> RecordingMethod:
    found = RecordingMethod()
    monkeypatch.setattr("trainer.fitting.method_of", lambda _: found)
    return found


@pytest.fixture
def job(good_folder_of_bolts: Path, tmp_path: Path, source_weights: Mapping[str, Tensor]) -> TrainingJob:
    return TrainingJob(good_folder_of_bolts, "bolt", tmp_path / "out", SETTINGS, backend="torch", threads=1)


@pytest.fixture(scope="module")
def by_folds(
    good_folder_of_bolts: Path,
    tmp_path_factory: pytest.TempPathFactory,
    source_weights: Mapping[str, Tensor],
    module_display: Display,
) -> Artifact:
    out = tmp_path_factory.mktemp("folds")
    return train(TrainingJob(good_folder_of_bolts, "bolt", out, SETTINGS, backend="torch", threads=1), module_display)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"augmentation": Augmentation(same="both")},
        pytest.param({"split": "random", "augmentation": Augmentation(copies=2, rotation=10)}, marks=pytest.mark.long),
        pytest.param({"view": "tiles", "tile_side": 32, "tile_overlap": 16}, marks=pytest.mark.long),
        pytest.param({"calibrate_under": ("light",)}, marks=pytest.mark.long),
    ],
)
def test_every_picture_is_judged_by_a_head_that_has_not_seen_it(
    changes: dict[str, Any], job: TrainingJob, method: RecordingMethod, silent_display: Display
) -> None:
    artifact = train(replace(job, settings=SETTINGS.model_copy(update=changes)), silent_display)
    *of_folds, served = method.seen
    plain = set().union(*of_folds) & set().union(*method.judged[:-1])
    views = artifact.judge.views.count
    assert len(plain) >= GOOD_IMAGES * views * (0 if "split" in changes else 1)  # turned copies repeat no picture
    assert len(of_folds) == 3
    for seen, judged in zip(of_folds, method.judged, strict=False):
        assert judged
        assert not seen & judged
        assert seen < served
    assert len(artifact.calibration.scores) == GOOD_IMAGES
    assert artifact.calibration.folds == artifact.manifest.training.folds == 3


@pytest.mark.long
def test_tiles_with_heads_of_their_own_are_judged_by_heads_that_have_not_seen_their_picture(
    job: TrainingJob, method: RecordingMethod, silent_display: Display
) -> None:
    settings = SETTINGS.model_copy(
        update={"view": "tiles", "tile_side": 32, "tile_overlap": 16, "tile_heads": "own", "folds": 2}
    )
    data = job.data.parent / "more bolts"
    data.mkdir(exist_ok=True)
    for number in range(16):
        (data / f"{number:02}.png").write_bytes(png(bolt_picture(number)))
    train(replace(job, data=data, settings=settings), silent_display)
    each = len(method.seen) // 3  # fits of one head for all tiles: two folds, then the served one
    for seen, judged in list(zip(method.seen, method.judged, strict=True))[: 2 * each]:
        assert judged
        assert not seen & judged


def test_near_duplicates_are_in_one_fold_and_count_once(
    job: TrainingJob, tmp_path: Path, method: RecordingMethod, silent_display: Display, said: list[str]
) -> None:
    data = tmp_path / "bursts"
    data.mkdir()
    for scene in range(7):
        for frame in range(3):
            grain = np.random.default_rng([scene, frame]).normal(0, 1, (40, 40, 3))
            picture = np.clip(np.rint(bolt_picture(scene) + grain), 0, 255).astype(np.uint8)
            (data / f"{scene}-{frame}.png").write_bytes(png(picture))
    artifact = train(replace(job, data=data), silent_display)
    record = artifact.manifest.training
    assert (record.images_trained, record.independent_trained, len(record.groups)) == (21, 7, 7)
    assert len(artifact.calibration.scores) == 7
    assert any("They count once: 7 independent images" in line for line in said)
    views = artifact.judge.views
    scene_of = {
        next(keys(torch.from_numpy(np.stack(views.prepare_file(file.read_bytes()).views)))): file.name[0]
        for file in data.iterdir()
    }
    for seen, judged in zip(method.seen[:-1], method.judged, strict=False):
        assert not {scene_of[one] for one in seen} & {scene_of[one] for one in judged if one in scene_of}


def test_folds_are_even_and_keep_groups_whole() -> None:
    labels = np.array([0, 1, 1, 1, 2, 3, 4, 4, 5, 6, 7, 8])
    folds = folds_by_group(labels, 3, seed=4)
    assert sorted(index for fold in folds for index in fold) == list(range(12))
    assert [len(fold) for fold in folds] == [4, 4, 4]
    for group in np.unique(labels):
        assert sum(group in labels[fold] for fold in folds) == 1
    assert folds != folds_by_group(labels, 3, seed=5)
    assert len(folds_by_group(labels[:6], 5, seed=0)) == 4  # no more folds than groups
    with pytest.raises(ValueError, match="at least 3 scenes"):
        folds_by_group(np.array([0, 0, 1, 1]), 2, seed=0)
    split = parts_in_folds(9, 3, 0, None)
    assert (split.training, split.held_out, split.independent_trained) == (list(range(9)), [], 9)


def test_the_manifest_and_every_word_say_how_it_was_calibrated(by_folds: Artifact, told: list[str]) -> None:
    training = by_folds.manifest.training
    assert (training.images_trained, training.images_held_out, training.held_out) == (GOOD_IMAGES, 0, ())
    assert training.settings["folds"] == 3
    assert by_folds.manifest.input_statistics is not None
    assert {len(values) for values in by_folds.manifest.input_statistics.values.values()} == {GOOD_IMAGES}
    origin = by_folds.calibration.thresholds().ng.origin
    assert origin.startswith(f"counted, cross-conformal on {GOOD_IMAGES} good images in 3 folds")
    assert "held-out" not in " ".join([origin, *calibration_words(by_folds.calibration)])
    assert any("to calibrate with by 3 folds: padim is fitted 4 times" in line for line in told)
    assert not any("step by step" in line or "held out" in line for line in told)
    assert load_artifact(by_folds.path).calibration == by_folds.calibration
    shown = artifact_of(by_folds.path)
    assert shown is not None
    assert (shown.images_held_out, shown.folds) == (0, 3)
    version = ProductVersion("bolt", "", "1", "0" * 64, by_folds)
    assert version.scores_are_of_another_kind


def test_thresholds_are_counted_on_all_scores_and_not_on_a_part(by_folds: Artifact, job: TrainingJob) -> None:
    assert by_folds.calibration.smallest_rate == 1 / (GOOD_IMAGES + 1)
    assert by_folds.calibration.thresholds().ng.value == by_folds.calibration.scores[-1]


def test_an_artifact_with_held_out_pictures_is_written_as_before(artifacts_folder: Path) -> None:
    written = json.loads((artifacts_folder / "bolt" / "manifest.json").read_text())
    assert "folds" not in written["calibration"]
    assert "folds" not in written["training"]
    assert not {"folds", "calibrate_by"} & written["training"]["settings"].keys()
    with pytest.raises(ValidationError, match="one of the two"):
        TrainingRecord.model_validate({**written["training"], "folds": 3})
    assert Manifest.model_validate(written).training.images_calibrated == written["training"]["images_held_out"]


@pytest.mark.long
def test_a_training_by_folds_that_was_interrupted_goes_on_in_the_fold_where_it_was(
    job: TrainingJob, silent_display: Display, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    method = config_of({"method": "mkd", "steps": 4, "batch_size": 4})
    job = replace(job, settings=SETTINGS.model_copy(update={"method": method, "folds": 2}))
    whole = train(replace(job, out=job.out / "whole"), silent_display)
    assert any("it trains step by step: 3 trainings in place of one" in line for line in said)

    class Impatient:
        def say(self, text: str) -> None:
            """Nothing."""

        def bar(self, title: str, total: int) -> Any:
            if title == "fold 2 of 2, training":
                raise KeyboardInterrupt
            return silent_display.bar(title, total)

    with pytest.raises(KeyboardInterrupt):
        train(job, Impatient())
    assert [file.name for file in job.work.iterdir()] == ["fold-1-checkpoint.safetensors"]
    said.clear()
    again = train(job, silent_display)
    assert "fold 1 of 2: going on from the checkpoint at step 4" in said
    assert not any(line.startswith("fold 2 of 2: going on") for line in said)
    assert (again.path / SUMS).read_text() == (whole.path / SUMS).read_text()
    assert len([line for line in said if line.startswith("fold ") and "others judged" in line]) == 2


def test_the_commands_fit_evaluate_and_refuse_what_needs_unseen_pictures(
    good_folder_of_bolts: Path,
    tmp_path: Path,
    source_weights: Mapping[str, Tensor],
    capsys: pytest.CaptureFixture[str],
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    (data / "train").mkdir(parents=True)
    (data / "train" / "good").symlink_to(good_folder_of_bolts)
    for kind, numbers in (("good", (60, 61)), ("blot", (62, 63))):
        (data / "test" / kind).mkdir(parents=True)
        for number in numbers:
            picture = bolt_picture(number)
            if kind == "blot":
                picture[10:24, 10:24] = (250, 20, 20)
            (data / "test" / kind / f"{number}.png").write_bytes(png(picture))
    machine = ["--threads", "1", "--backend", "torch"]
    flags = ["--method", "padim", "--image-size", "32", "--calibrate-by", "folds", "--folds", "4"]
    assert main(["fit", str(data), "--product", "bolt", "--out", str(out), *flags, *machine]) == ExitCode.DONE
    assert "4 further fits by folds" in capsys.readouterr().err
    version = str(active_artifact(out / "bolt"))
    report = tmp_path / "report"
    evaluate = ["evaluate", version, str(data), "--out", str(report), "--painted-defects", "0", *machine]
    assert main(evaluate) == ExitCode.DONE
    page = (report / "report.html").read_text()
    assert f"{GOOD_IMAGES} images trained on, which calibrate by 4 folds" in page
    assert f"from {GOOD_IMAGES} images in 4 folds of good parts, each judged by a fit to the other folds" in page
    assert f"of {GOOD_IMAGES} images in 4 folds its threshold is that of NG" in page
    assert f"add good images until there are 39, {39 - GOOD_IMAGES} more" in page
    capsys.readouterr()
    mask = ["mask", version, str(data), "--ignore", str(_mask(tmp_path)), "--out", str(out), *machine]
    assert main(mask) == ExitCode.INPUT
    assert "calibrated with them by 4 folds: take good parts that it has not seen" in capsys.readouterr().err
    robust = ["robustness", version, str(data), "--calibrate-under", "light", "--out", str(report), *machine]
    assert main(robust) == ExitCode.INPUT
    assert "has seen all images of its training: leave --calibrate-under out" in capsys.readouterr().err
    both = ["fit", str(data), "--product", "bolt", *flags, "--hold-out", "0.3"]
    assert main(both) == ExitCode.USAGE
    assert "by folds all pictures calibrate" in capsys.readouterr().err


def _mask(folder: Path) -> Path:
    file = folder / "ignore.json"
    file.write_text(json.dumps({"width": 40, "height": 40, "polygons": [[[0, 0], [9, 0], [9, 9], [0, 9]]]}))
    return file


def test_settings_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ValidationError, match="7 folds go with calibrate_by"):
        TrainingSettings(method=PADIM, folds=7)
    with pytest.raises(ValidationError, match="folds go with calibrate_by=folds"):
        TrainingQuery(folds=7)
    assert TrainingQuery(method="padim", calibrate_by="folds", folds=7).flags() == [
        *("--method", "padim", "--calibrate-by", "folds", "--folds", "7")
    ]
    plan = {"name": "s", "data": [{"name": "d", "path": "x"}], "variant": [{"name": "v"}]}
    with pytest.raises(ValidationError, match=r"benchmarks\.fold_promises"):
        StudyPlan.model_validate({**plan, "training": {"calibrate_by": "folds"}})
    assert TrainingSettings.model_validate(SETTINGS.model_dump()) == SETTINGS


def test_folds_are_named_where_they_would_give_enough_images(by_folds: Artifact) -> None:
    scale = by_folds.calibration.map_scale

    def words(held_out: int, trained: int, **changes: object) -> str | None:
        scores = tuple(float(number) for number in range(held_out))
        record = TrainingRecord(
            settings={}, images_trained=trained, images_held_out=held_out, data_sha256="0", outcome=changes
        )
        update = {"calibration": Calibration(scores=scores, map_scale=scale), "training": record}
        return folds_words(by_folds.manifest.model_copy(update=update))

    assert words(32, 128) == (
        "fit with --calibrate-by folds: thresholds are counted on all 160 good images then, and 39 are enough"
    )
    assert words(32, 128, loss_first=1.0) is None  # K trainings more
    assert words(10, 28) is None  # 38 would not do, either
    assert words(60, 38) is None  # REVIEW has a threshold; 99 would be needed for NG, and there are 98
    assert words(60, 39) is not None
    assert words(100, 400) is None  # nothing is missing
    assert folds_words(by_folds.manifest) is None
