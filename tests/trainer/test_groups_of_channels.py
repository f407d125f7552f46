"""Parts under several lights: found in the data, fitted with a head each, judged as one, whatever form they come in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
import torch

from models.artifact import Artifact, ArtifactError, load_artifact
from models.artifact.manifest import MANIFEST, SUMS
from models.backends.pool import SourcePool
from models.detector import Detector
from models.exit_codes import ExitCode
from models.heads.candidate import Candidate
from models.heads.grouped import GroupedHead
from models.heads.registry import config_of
from models.imaging.channels import ChannelGroup, group_picture
from models.imaging.errors import ImageError
from models.imaging.grouped_decode import decode_groups
from models.imaging.preprocess import prepare
from service.bulk.images import FolderImages
from service.engine.device_runner import DeviceRunner
from tests.conftest import bolt_picture
from trainer.__main__ import main
from trainer.advise import advice
from trainer.advise.candidates import all_candidates
from trainer.advise.chooser import Auto
from trainer.advise.trial import Pictures, Tried, of_all_groups, try_all
from trainer.config import TrainingSettings
from trainer.data import DataError, part_bytes
from trainer.evaluate import Machine, evaluate
from trainer.fit_run import Display
from trainer.part_files import find_parts, groups_of_part
from trainer.recalibrate import NewRates, Recalibration, recalibrate
from trainer.run import TrainingJob, train
from trainer.study.plan import StudyPlan
from trainer.study.study import StudyJob, run_study
from trainer.training_set import read_training_set

LIGHTS = ("left", "right", "top")
COUNT = 12
CPU = torch.device("cpu")
Lights = dict[str, npt.NDArray[np.uint8]]
SETTINGS = TrainingSettings(
    method=config_of({"method": "patchcore", "bank_size": 60}), image_size=32, hold_out=0.4, split="random"
)


def lights(number: int) -> Lights:
    """Three gradients of light over one bolt in grey."""
    grey = bolt_picture(number).mean(axis=2)
    ramp = np.linspace(-0.25, 0.25, grey.shape[0])
    shades = (1 - ramp[None, :], 1 + ramp[None, :], 1 - ramp[:, None])
    return {name: np.clip(grey * shade, 0, 255).astype(np.uint8) for name, shade in zip(LIGHTS, shades, strict=True)}


def with_a_spot(part: Lights, light: str) -> Lights:
    """The same with a dark spot that only one light shows."""
    found = {name: pixels.copy() for name, pixels in part.items()}
    cv2.circle(found[light], (26, 14), 5, (5,), -1)
    return found


def write_stack(folder: Path, part: Lights) -> Path:
    folder.mkdir(parents=True)
    for name, pixels in part.items():
        cv2.imwrite(str(folder / f"{name}.png"), pixels)
    return folder


def write_tiff(file: Path, part: Lights) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(file, np.stack(list(part.values())), photometric="minisblack", planarconfig="separate")
    return file


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labelled set of folders of lights: two parts with a spot under one light."""
    folder = tmp_path_factory.mktemp("lights")
    for number in range(COUNT):
        write_stack(folder / "train" / "good" / f"part-{number}", lights(number))
    for number in range(3):
        write_stack(folder / "test" / "good" / f"part-{number}", lights(50 + number))
    for number, light in enumerate(("right", "top")):
        write_stack(folder / "test" / "spot" / f"part-{number}", with_a_spot(lights(60 + number), light))
        mask = np.zeros((40, 40), np.uint8)
        cv2.circle(mask, (26, 14), 5, (255,), -1)
        (folder / "ground_truth" / "spot").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / "ground_truth" / "spot" / f"part-{number}_mask.png"), mask)
    return folder


@pytest.fixture(scope="module")
def fitted(
    data: Path,
    tmp_path_factory: pytest.TempPathFactory,
    source_weights: Mapping[str, torch.Tensor],
    module_display: Display,
) -> Artifact:
    out = tmp_path_factory.mktemp("artifacts")
    job = TrainingJob(data=data, product="lights", out=out, settings=SETTINGS, backend="torch", threads=1, version="1")
    return train(job, module_display)


@pytest.fixture(scope="module")
def detector(fitted: Artifact) -> Detector:
    pool = SourcePool(CPU, backend="torch", threads=1)
    pool.require(fitted.source)
    return Detector(CPU, pool)


def test_the_groups_are_found_fitted_and_kept_with_their_heads(fitted: Artifact, told: list[str]) -> None:
    assert fitted.preprocessing.groups == tuple(ChannelGroup(name=name) for name in LIGHTS)
    assert isinstance(fitted.head, GroupedHead)
    assert fitted.manifest.method == "patchcore"
    assert "3 groups of channels, each with a head of its own: left, right, top" in told
    assert [Path(one.file).suffix for one in fitted.manifest.golden] == [".tar"] * len(fitted.manifest.golden)
    units = fitted.manifest.training.outcome["units"]
    assert isinstance(units, dict)
    assert set(units) == set(LIGHTS)


def test_a_defect_that_one_light_shows_is_found_there_and_the_other_lights_are_quiet(
    fitted: Artifact, detector: Detector, data: Path
) -> None:
    judge = fitted.judge
    for number, light in enumerate(("right", "top")):
        image = judge.prepare_file(part_bytes(data / "test" / "spot" / f"part-{number}"))
        rows = dict(zip(LIGHTS, detector.judge(judge.rows(image, wants_map=True)), strict=True))
        (joined,) = judge.judge_all(detector, [image], wants_map=True)
        limit = fitted.calibration.thresholds().ng.value
        assert joined.group == light
        assert joined.score == rows[light].score > limit
        assert all(rows[name].score < joined.score / 2 for name in LIGHTS if name != light)
        maps = [row.map for row in rows.values() if row.map is not None]
        assert len(maps) == 3
        assert joined.map is not None
        assert np.array_equal(joined.map, np.maximum.reduce(maps))


def test_files_of_a_part_and_one_tiff_of_all_channels_give_the_same_verdict(
    fitted: Artifact, detector: Detector, data: Path, tmp_path: Path
) -> None:
    judge = fitted.judge
    part = with_a_spot(lights(60), "right")
    tiff = write_tiff(tmp_path / "part.tif", part)
    images = [judge.prepare_file(part_bytes(one)) for one in (data / "test" / "spot" / "part-0", tiff)]
    first, second = judge.judge_all(detector, images, wants_map=True)
    assert first.score == second.score
    assert first.group == second.group
    assert np.array_equal(first.map, second.map)  # type: ignore[arg-type]


def test_a_device_takes_the_artifact_into_use_with_a_head_of_each_group(fitted: Artifact) -> None:
    runner = DeviceRunner(CPU, SourcePool(CPU, backend="torch", threads=1))
    runner.verify(fitted)
    assert runner.warm(fitted, 4) > 0


def test_a_lamp_that_is_out_is_an_error_of_the_part(fitted: Artifact) -> None:
    part = {**lights(70), "top": np.zeros((40, 40), np.uint8)}
    pixels = np.stack(list(part.values()), axis=2)
    with pytest.raises(ImageError, match="the picture of top's brightest level is 0") as raised:
        fitted.judge.views.prepare(pixels, look_at_levels=True)
    assert raised.value.code == "image_level_unexpected"


def test_groups_are_under_the_hash_and_must_fit_the_heads(fitted: Artifact, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(fitted.path, copy)
    manifest = (copy / MANIFEST).read_text()
    (copy / MANIFEST).write_text(manifest.replace('"name": "top"', '"name": "up"'))
    with pytest.raises(ArtifactError, match="its SHA-256 is"):
        load_artifact(copy)
    assert (copy / SUMS).read_bytes() == (fitted.path / SUMS).read_bytes()


def test_a_report_names_the_light_and_shows_its_picture(
    fitted: Artifact, data: Path, tmp_path: Path, silent_display: Display
) -> None:
    machine = Machine(CPU, "torch", 1, None)
    report = evaluate(fitted.path, data, tmp_path, machine, silent_display, painted_defects=0)
    images = json.loads((tmp_path / "images.json").read_text())
    assert [one["group"] for one in images if one["defect"] == "spot"] == ["right", "top"]
    assert json.loads((tmp_path / "metrics.json").read_text())["masks_unknown"] == 0
    assert "input, right, which decided" in report.read_text()


@pytest.mark.long
def test_new_parts_recalibrate_and_the_groups_stay(fitted: Artifact, tmp_path: Path, silent_display: Display) -> None:
    for number in range(8):
        write_stack(tmp_path / "new" / f"part-{number}", lights(80 + number))
    made = recalibrate(
        Recalibration(
            artifact=fitted.path,
            data=tmp_path / "new",
            path=tmp_path / "out" / "lights" / "2",
            version="2",
            rates=NewRates(),
            accept_shift=True,
            device=CPU,
            backend="torch",
            threads=1,
        ),
        silent_display,
    )
    assert made.preprocessing == fitted.preprocessing
    assert len(made.calibration.scores) == 8
    assert made.calibration.ng_rate == fitted.calibration.ng_rate


def test_what_is_a_part_follows_from_the_names_that_most_folders_have(tmp_path: Path) -> None:
    for number in range(10):
        write_stack(tmp_path / f"part-{number}", lights(number))
    (tmp_path / "part-3" / "top.png").unlink()
    (tmp_path / "part-4" / "top.png").rename(tmp_path / "part-4" / "ring.png")
    found = read_training_set(tmp_path)
    assert [group.name for group in found.groups] == list(LIGHTS)
    assert [path.name for path, _ in found.unreadable] == ["part-3", "part-4"]
    assert "no file of top" in found.unreadable[0][1]
    assert "ring.png" in found.unreadable[1][1]
    assert len(found.files) == 8


def test_folders_are_no_parts_where_their_names_differ_or_subfolders_are_asked_for(tmp_path: Path) -> None:
    for number in range(3):
        write_stack(tmp_path / f"part-{number}", {f"{number}-{name}": one for name, one in lights(number).items()})
    assert find_parts(tmp_path).groups == ()
    assert find_parts(tmp_path).paths == ()
    assert len(find_parts(tmp_path, subfolders=True).paths) == 9
    with pytest.raises(DataError, match="give --subfolders"):
        read_training_set(tmp_path)


def test_channels_of_a_tiff_are_groups_and_a_setting_names_them(tmp_path: Path) -> None:
    for number in range(8):
        write_tiff(tmp_path / f"{number}.tif", lights(number))
    assert [str(group) for group in read_training_set(tmp_path).groups] == ["channel-1", "channel-2", "channel-3"]
    named = TrainingSettings(channels=LIGHTS).groups
    assert [group.name for group in read_training_set(tmp_path, groups=named).groups] == list(LIGHTS)
    assert groups_of_part(tmp_path / "0.tif") == read_training_set(tmp_path).groups
    with pytest.raises(ValueError, match="is no group of channels"):
        TrainingSettings(channels=("a b", "c"))


def test_one_method_is_chosen_for_all_groups_by_defects_painted_on_each(
    data: Path, tmp_path: Path, silent_display: Display, source_weights: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tuple(one for one in all_candidates() if one.name in {"padim", "patchcore"})
    monkeypatch.setattr(advice, "all_candidates", lambda: kept)
    monkeypatch.setattr(advice, "DEFECTS", 12)
    shown: list[Pictures] = []

    def seen(candidates: Sequence[Candidate], pictures: Pictures, *rest: Any, **more: Any) -> list[Tried]:
        shown.append(pictures)
        return try_all(candidates, pictures, *rest, **more)

    monkeypatch.setattr(advice, "try_all", seen)
    found = read_training_set(data)
    settings = SETTINGS.model_copy(update={"hold_out": 0.2})
    job = TrainingJob(data=data, product="lights", out=tmp_path, settings=settings, threads=1)
    chosen, record = Auto(None, sizes=(32,))(job, found, silent_display)
    assert chosen.method.method in {"padim", "patchcore"}
    fitted, aside = advice.drawn(len(found.files), settings)
    assert [len(one.fitted) for one in shown] == [len(fitted)] * 3  # a trial for each light
    for number, one in enumerate(shown):
        part = decode_groups(part_bytes(found.files[aside[0]]), found.groups).pixels
        own = settings.preprocessing(found.sixteen_bit_white)
        assert np.array_equal(one.aside[0], prepare(group_picture(part, found.groups, number), own))
        assert one.origin == [defect // (len(one.defects) // len(aside)) for defect in range(len(one.defects))]
    told = record["auto"]
    assert isinstance(told, dict)
    assert {row["name"] for row in told["table"]} == {"padim", "patchcore"}
    assert told["pictures"]["painted"] == sum(len(one.defects) for one in shown) == 9


def test_of_the_trials_of_groups_separations_are_averaged_and_times_added_and_what_one_lacks_is_left_out() -> None:
    both, once = all_candidates()[:2]
    left = [
        Tried(both, 32, 0.9, np.array([0.8, 1.0], np.float32), 2.0, 1.0),
        Tried(once, 32, 1.0, np.ones(2, np.float32), 1.0, 1.0),
    ]
    right = [Tried(both, 32, 0.7, np.array([0.6, 0.8], np.float32), 3.0, 4.0)]
    (found,) = of_all_groups([left, right])
    assert (found.candidate, found.ms, found.fit_s) == (both, 5.0, 5.0)
    assert found.separation == pytest.approx(0.8)
    assert found.without == pytest.approx([0.7, 0.9])


def test_a_study_says_that_it_takes_no_groups(data: Path, tmp_path: Path, silent_display: Display) -> None:
    plan = StudyPlan.model_validate(
        {"name": "one", "data": [{"name": "lights", "path": str(data)}], "controls": ["brightness"]}
    )
    outcome = run_study(StudyJob(plan, tmp_path, CPU), silent_display)
    assert outcome.missing[0].startswith("lights: its parts have groups of channels (left, right, top), which a study")


def test_a_part_can_be_looked_at_before_a_training(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "preview.png"
    part = str(data / "train" / "good" / "part-0")
    assert main(["preview", part, "--image-size", "32", "--out", str(out)]) == ExitCode.DONE
    shown = capsys.readouterr()
    assert "3 groups of channels, each with 1 of these views: left, right, top" in shown.out + shown.err
    assert out.exists()


def test_a_folder_with_lights_is_one_row_of_a_bulk_run(data: Path) -> None:
    groups = tuple(ChannelGroup(name=name) for name in LIGHTS)
    rows = list(FolderImages(data / "test", groups).read(0, 99))
    assert [row.path for row in rows] == ["good/part-0", "good/part-1", "good/part-2", "spot/part-0", "spot/part-1"]
    assert rows[0].load().data == part_bytes(data / "test" / "good" / "part-0")
    assert FolderImages(data / "test").count == 15
