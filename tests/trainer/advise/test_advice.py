"""The choice of a method on painted defects: the rule, its words, and the way into the artifact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from models.artifact import active_artifact, load_artifact
from models.exit_codes import ExitCode
from models.heads.candidate import Candidate
from models.heads.mkd.config import MkdConfig
from models.heads.mkd.views import View, window_grid
from models.heads.padim.method import PadimMethod
from models.heads.parts import place_gaussians
from models.heads.registry import config_of, forget, register
from models.imaging.regions import Regions
from models.sources.weights import SourceWeightsError
from trainer.__main__ import main as mkd_train
from trainer.advise import advice, copies, view_size
from trainer.advise.advice import AdviceJob, advise, drawn, painted_on_group
from trainer.advise.candidates import all_candidates, fine_candidates, is_default
from trainer.advise.choice import choose, standard_error
from trainer.advise.trial import Pictures, Tried, separations, try_all
from trainer.config import TrainingSettings
from trainer.data import DataError
from trainer.fit_run import Display
from trainer.painted.paint import Painted
from trainer.painted.separation import separation
from trainer.same_part import CHANGES_OF
from trainer.training_set import read_training_set


def only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """These candidates alone are tried."""
    kept = tuple(one for one in all_candidates() if one.name in names)
    monkeypatch.setattr(advice, "all_candidates", lambda: kept)


def tried(name: str, separation: float, *, noise: int = 0, ms: float = 10.0, size: int = 128) -> Tried:
    candidate = next((one for one in all_candidates() if one.name == name), Candidate(name, {"method": "padim"}))
    swing = 0.02 * np.random.default_rng(noise).standard_normal(40) if noise else np.zeros(40)
    return Tried(candidate, size, separation, (separation + swing).astype(np.float32), ms, 1.0)


def test_the_best_one_is_taken_where_the_difference_is_sure() -> None:
    found = choose([tried("mkd", 0.8), tried("padim", 0.9), tried("combined", 0.85)], None)
    assert found.taken.candidate.name == "padim"
    assert found.why == "padim at 128 pixels tells painted defects from good pictures best (90.0%)"


def test_a_tie_goes_to_the_default_and_then_to_what_sees_more() -> None:
    near = [tried("padim", 0.9, noise=1), tried("combined", 0.895, noise=2), tried("mkd", 0.89, noise=3)]
    assert standard_error(near[0].without, near[2].without) > 0.02
    found = choose(near, None)
    assert found.taken.candidate.name == "mkd"
    assert "within one standard error" in found.why
    assert "it is the default" in found.why
    order = [tried("combined", 0.895, noise=2), tried("padim", 0.9, noise=1), tried("mkd", 0.5, noise=3)]
    assert choose(order, None).taken.candidate.name == "combined"


def test_a_tie_of_sizes_goes_to_the_size_at_which_the_method_does_best() -> None:
    near = [tried("padim", 0.90, noise=1), tried("mkd", 0.89, noise=2), tried("mkd", 0.895, noise=3, size=256)]
    assert choose(near, None).taken.size == 256


def test_what_takes_longer_than_the_budget_is_not_taken() -> None:
    both = [tried("padim", 0.9, ms=30), tried("mkd", 0.6, ms=10)]
    assert choose(both, 40).taken.candidate.name == "padim"
    assert choose(both, 20).taken.candidate.name == "mkd"
    with pytest.raises(DataError, match=r"no method judges an image within 5 ms here: the fastest, mkd at 128 pixels"):
        choose(both, 5)


def test_the_standard_error_is_that_of_the_jackknife() -> None:
    values = np.random.default_rng(0).standard_normal(30)
    without = (values.sum() - values) / 29  # of a mean, whose error is known
    one, other = tried("padim", 0.9), tried("mkd", 0.8)
    one = one.__class__(one.candidate, 128, float(values.mean()), without, 1.0, 1.0)
    other = other.__class__(other.candidate, 128, 0.0, np.zeros(30, np.float32), 1.0, 1.0)
    assert standard_error(one.without, other.without) == pytest.approx(values.std(ddof=1) / 30**0.5, rel=1e-5)


def test_the_separation_of_a_trial_is_that_of_painted_defects_with_and_without_each_picture() -> None:
    random = np.random.default_rng(0)
    scores = random.standard_normal(5 + 20).round(1).astype(np.float32)
    defects = [Painted(np.zeros((1, 1, 3), np.uint8), np.ones((1, 1), bool), "ab"[n % 2], 0.01, 0.1) for n in range(20)]
    found, without = separations(scores[:5], scores[5:], defects, [number // 4 for number in range(20)])
    assert found == pytest.approx(separation(scores[:5], scores[5:], defects).overall)
    kept = separation(scores[1:5], scores[9:], defects[4:]).overall
    assert without[0] == pytest.approx(kept)
    assert len(without) == 5


def test_every_candidate_has_settings_that_a_fit_takes_and_the_default_is_among_them() -> None:
    for one in all_candidates():
        config = config_of(one.settings)
        assert config_of(config.model_dump(mode="json")) == config
        assert config_of(one.tried or one.settings).method == config.method
    assert [one.name for one in all_candidates() if is_default(one)] == ["mkd, two sizes", "mkd"]


def test_a_method_of_ones_own_is_tried_after_the_built_in_ones() -> None:
    class OwnPadim(PadimMethod):
        name = "own"
        candidates = (Candidate("own", {"method": "own"}),)

    built_in = all_candidates()
    register(OwnPadim())
    try:
        assert all_candidates() == (*built_in, Candidate("own", {"method": "own"}))
    finally:
        forget("own")


@pytest.mark.parametrize("size", [128, 256, 320, 640, 1024])
def test_the_windows_for_small_defects_are_so_many_places_wide_at_any_size(size: int) -> None:
    deep, less = (config_of(one.settings) for one in fine_candidates(size)[:2])
    assert isinstance(deep, MkdConfig)
    assert isinstance(less, MkdConfig)
    strides = {"pool2": 4, "pool3": 8, "pool4": 16}

    def sides(views: tuple[View, ...]) -> list[tuple[str, int]]:
        return [(view.tap, window_grid(view.window, size // strides[view.tap])[0]) for view in views]

    assert sides(deep.score_views) == sides(less.score_views) == [("pool2", 3), ("pool3", 3)]
    assert sides(deep.map_views) == [("pool2", 5), ("pool3", 3), ("pool4", 2)]
    assert sides(less.map_views) == sides(deep.map_views)[:2]
    for one in fine_candidates(size):
        config = config_of(one.settings)
        assert config_of(config.model_dump(mode="json")) == config


@pytest.mark.long
def test_view_and_method_are_chosen_one_after_the_other_for_small_defects(
    tmp_path: Path, source_weights: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    folder = tmp_path / "good"
    folder.mkdir()
    for number in range(12):
        blocks = (random.random((20, 20)) > 0.5).astype(np.uint8) * 200 + 20
        picture = cv2.resize(blocks, (160, 160), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(folder / f"{number:02}.png"), picture)
    monkeypatch.setattr(advice, "DEFECTS", 15)
    monkeypatch.setattr(view_size, "measured_cost", lambda *_: lambda size: float(size**4))  # tiles would be taken
    line = ["fit", str(folder), "--product", "board", "--out", str(tmp_path), "--image-size", "auto"]
    line += ["--smallest-defect", "8", "--method", "auto", "--no-forecast", "--threads", "1", "--accept-degenerate"]
    assert mkd_train([*line, "--split", "random"]) == 0
    manifest = load_artifact(active_artifact(tmp_path / "board")).manifest
    outcome = manifest.training.outcome
    assert isinstance(outcome["auto"], dict)
    assert isinstance(outcome["view"], dict)
    assert outcome["view"]["smallest_defect"] == 8
    assert manifest.preprocessing.tiles is None
    size = manifest.preprocessing.image_size
    table = {(row["name"], row["size"]) for row in outcome["auto"]["table"]}
    assert table == {(one.name, size) for one in fine_candidates(size)}


def test_a_fit_with_method_auto_says_in_the_manifest_what_it_chose_and_why(
    good_folder_of_bolts: Path,
    source_weights: object,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only(monkeypatch, "padim", "patchcore")
    monkeypatch.setattr(advice, "DEFECTS", 24)
    line = ["fit", str(good_folder_of_bolts), "--product", "bolt", "--out", str(tmp_path), "--image-size", "32"]
    line += ["--no-forecast", "--method", "auto", "--threads", "1", "--accept-degenerate", "--cycle-ms", "100000"]
    assert mkd_train([*line, "--set", "steps=3"]) == ExitCode.USAGE
    assert "method auto chooses a method with its settings" in capfd.readouterr().err
    assert mkd_train(line) == 0
    manifest = load_artifact(active_artifact(tmp_path / "bolt")).manifest
    chosen = manifest.training.outcome["auto"]
    assert isinstance(chosen, dict)
    assert {(row["name"], row["size"]) for row in chosen["table"]} == {("padim", 32), ("patchcore", 32)}
    assert chosen["cycle_ms"] == 100000
    assert chosen["why"] in " ".join(capfd.readouterr().err.split())
    assert manifest.method == manifest.training.settings["method"]["method"]  # type: ignore[index]


def test_sources_are_chosen_among_where_that_is_asked_for(
    good_folder_of_bolts: Path,
    source_weights: object,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only(monkeypatch, "padim")
    monkeypatch.setattr(advice, "DEFECTS", 24)
    line = ["fit", str(good_folder_of_bolts), "--product", "bolt", "--out", str(tmp_path), "--image-size", "32"]
    line += ["--source", "auto", "--no-forecast", "--threads", "1", "--accept-degenerate"]
    assert mkd_train(line) == ExitCode.USAGE
    assert "--source auto goes with --method auto" in capfd.readouterr().err
    line += ["--method", "auto"]
    assert mkd_train([*line, "--source-weights", str(tmp_path / "own.pth")]) == ExitCode.USAGE
    assert "--source-weights are of one source" in capfd.readouterr().err
    assert mkd_train(line) == 0
    told = capfd.readouterr().err
    manifest = load_artifact(active_artifact(tmp_path / "bolt")).manifest
    chosen = manifest.training.outcome["auto"]
    assert isinstance(chosen, dict)
    assert sorted(row["source"] for row in chosen["table"]) == ["efficientnet-lite0", "vgg16"]
    assert manifest.source.name in next(row for row in told.splitlines() if "<- taken" in row)


def test_a_source_without_weights_is_told_and_left_out(
    good_folder_of_bolts: Path,
    source_weights: object,
    tmp_path: Path,
    silent_display: Display,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only(monkeypatch, "padim")
    monkeypatch.setattr(advice, "DEFECTS", 12)
    monkeypatch.setenv("MKD_NO_DOWNLOAD", "1")
    found, settings = read_training_set(good_folder_of_bolts), TrainingSettings(image_size=32)
    job = AdviceJob(found, settings, tmp_path, sizes=(32,), sources=("vgg16-torchvision", "vgg16"), threads=1)
    advised = advise(job, silent_display)
    assert {one.source for one in advised.tried} == {"vgg16"}
    assert any(line.startswith("not tried: ") and "vgg16-torchvision" in line for line in said)
    with pytest.raises(SourceWeightsError):
        advise(replace(job, sources=("vgg16-torchvision",)), silent_display)


def test_advice_is_given_in_a_table_and_too_few_pictures_are_told(
    good_folder_of_bolts: Path,
    source_weights: object,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only(monkeypatch, "padim")
    monkeypatch.setattr(advice, "DEFECTS", 24)
    monkeypatch.setattr(copies, "CHANGES_OF", {"none": CHANGES_OF["none"], "all": CHANGES_OF["all"]})
    monkeypatch.setattr(place_gaussians, "COMPARED", 2)
    line = ["advise", str(good_folder_of_bolts), "--sizes", "32", "64", "--threads", "1"]
    assert mkd_train(line) == 0
    told = capfd.readouterr().err
    assert told.count("<- taken") == 1
    assert "7 good pictures; 3 others against 24 defects painted on them" in " ".join(told.split())
    assert "changed copies of 7 pictures (mkd without its cloner at 32 pixels)" in " ".join(told.split())
    assert [row.split()[:2] for row in told.splitlines() if row.startswith(("none ", "all "))] == [
        ["none", "7"],
        ["all", "56"],
    ]
    assert mkd_train([*line, "--hold-out", "0.5"]) == ExitCode.INPUT
    assert "6 pictures to train on are too few to choose by" in " ".join(capfd.readouterr().err.split())


def test_where_regions_are_given_methods_are_compared_by_what_lies_inside(
    good_folder_of_bolts: Path,
    source_weights: object,
    tmp_path: Path,
    silent_display: Display,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only(monkeypatch, "padim")
    monkeypatch.setattr(advice, "DEFECTS", 24)
    found, settings = read_training_set(good_folder_of_bolts), TrainingSettings(image_size=32)
    kept = np.zeros((40, 40), np.bool_)
    kept[:, :20] = True
    whole = AdviceJob(found, settings, tmp_path, sizes=(32,), threads=1)
    _, aside = drawn(len(found.files), settings)
    everywhere, _ = painted_on_group(whole, aside)
    inside, origin = painted_on_group(replace(whole, regions=Regions(kept)), aside)
    assert 0 < len(inside) == len(origin) < len(everywhere)
    assert all(2 * one.mask[:, :20].sum() >= one.mask.sum() for one in inside)
    shown: list[Pictures] = []

    def seen(candidates: Sequence[Candidate], pictures: Pictures, *rest: Any, **more: Any) -> list[Tried]:
        shown.append(pictures)
        return try_all(candidates, pictures, *rest, **more)

    monkeypatch.setattr(advice, "try_all", seen)
    advise(replace(whole, regions=Regions(kept)), silent_display)
    for picture in (*shown[0].fitted, *shown[0].defective):
        right = picture[:, :, 18:]  # what is ignored takes the value of the last column inside
        assert np.abs(right - right[:, :, :1]).max() < 1e-6


def test_regions_in_which_nothing_was_painted_are_told(
    good_folder_of_bolts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advice, "DEFECTS", 2)
    kept = np.zeros((40, 40), np.bool_)
    kept[39, 39] = True
    found, settings = read_training_set(good_folder_of_bolts), TrainingSettings(image_size=32)
    job = AdviceJob(found, settings, tmp_path, sizes=(32,), regions=Regions(kept))
    with pytest.raises(DataError, match="no painted defect lies where pictures are looked at"):
        painted_on_group(job, drawn(len(found.files), settings)[1])
