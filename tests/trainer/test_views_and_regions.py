"""What is seen of a picture is chosen at fit, kept in the artifact, and changed by one command."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

from models.artifact import Artifact, ArtifactError, load_artifact
from models.backends.pool import SourcePool
from models.detector import Detector, Judgement
from models.exit_codes import ExitCode
from models.heads.registry import config_of
from models.imaging.decode import decode_image
from models.imaging.regions import Regions
from trainer.__main__ import main
from trainer.config import TrainingSettings
from trainer.data import DataError
from trainer.fit_run import Display
from trainer.regions_file import read_regions
from trainer.run import TrainingJob, train

BOX = (18, 6, 17, 17)  # x, y, width, height; the blot of `bad_image` lies in it
CPU = torch.device("cpu")
PATCHCORE = config_of({"method": "patchcore", "bank_size": 50})


def mask_of(*, ignored: bool = True) -> npt.NDArray[np.bool_]:
    kept = np.full((40, 40), ignored)
    x, y, width, height = BOX
    kept[y : y + height, x : x + width] = not ignored
    return kept


Judge = Callable[[Artifact, bytes], Judgement]


@pytest.fixture(scope="module")
def judged(masked: Artifact) -> Judge:
    """Judges a file by an artifact; all have the same source."""
    pool = SourcePool(CPU, backend="torch", threads=1)
    pool.require(masked.source)
    detector = Detector(CPU, pool)

    def judge_one(artifact: Artifact, image: bytes) -> Judgement:
        judge = artifact.judge
        (found,) = judge.judge_all(detector, [judge.prepare_file(image)], wants_map=True)
        return found

    return judge_one


def with_a_blot(image: bytes, centre: tuple[int, int]) -> bytes:
    pixels = decode_image(image)[:, :, ::-1].copy()
    cv2.circle(pixels, centre, 6, (0, 0, 10), -1)
    return cv2.imencode(".png", pixels)[1].tobytes()


def assert_blind_inside_and_not_outside(judged: Judge, artifact: Artifact, image: bytes) -> None:
    """The blot in the ignored box reaches to its edges: a single pixel outside would tell."""
    good, inside, outside = (
        judged(artifact, one) for one in (image, with_a_blot(image, (26, 14)), with_a_blot(image, (8, 31)))
    )
    assert good.map is not None
    assert inside.map is not None
    assert inside.score == good.score
    assert (inside.map == good.map).all()
    decide = artifact.calibration.thresholds().decide
    assert decide(inside.score) == decide(good.score)
    assert outside.score > good.score


@pytest.fixture(scope="module")
def settings() -> TrainingSettings:
    return TrainingSettings(method=PATCHCORE, image_size=32, hold_out=0.4)


@pytest.fixture(scope="module")
def masked(
    tmp_path_factory: pytest.TempPathFactory,
    good_folder_of_bolts: Path,
    settings: TrainingSettings,
    module_display: Display,
    source_weights: Mapping[str, torch.Tensor],
) -> Artifact:
    out = tmp_path_factory.mktemp("masked")
    job = TrainingJob(
        good_folder_of_bolts, "bolt", out, settings, backend="torch", threads=1, regions=Regions(mask_of())
    )
    return train(job, module_display)


def test_a_defect_in_an_ignored_region_moves_no_bit(judged: Judge, masked: Artifact, good_images: list[bytes]) -> None:
    for image in good_images[:3]:
        assert_blind_inside_and_not_outside(judged, load_artifact(masked.path), image)


def test_the_mask_is_under_the_hash_of_the_artifact(masked: Artifact, tmp_path: Path) -> None:
    assert masked.manifest.regions is not None
    assert masked.manifest.regions.share == pytest.approx(1 - 17 * 17 / 1600, abs=1e-6)
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in (one for one in masked.path.rglob("*") if one.is_file()):
        target = copy / file.relative_to(masked.path)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(file.read_bytes())
    (copy / "mask.png").write_bytes(Regions(mask_of(ignored=False)).as_png())
    with pytest.raises(ArtifactError, match=r"mask\.png"):
        load_artifact(copy)


def test_one_command_changes_the_mask_and_calibrates_anew(
    judged: Judge, artifacts_folder: Path, good_folder_of_bolts: Path, good_images: list[bytes], tmp_path: Path
) -> None:
    """From the folder it was trained on, whose held-out pictures calibrate."""
    file = tmp_path / "ignored.json"
    x, y, width, height = BOX
    corners = [[x, y], [x + width - 1, y], [x + width - 1, y + height - 1], [x, y + height - 1]]
    file.write_text(json.dumps({"width": 40, "height": 40, "polygons": [corners]}))
    command = ["mask", str(artifacts_folder / "bolt"), str(good_folder_of_bolts), "--out", str(tmp_path)]
    assert main([*command, "--ignore", str(file), "--version", "2", "--backend", "torch", "--threads", "1"]) == 0
    old, new = load_artifact(artifacts_folder / "bolt"), load_artifact(tmp_path / "bolt" / "2")
    assert new.regions is not None
    assert (new.regions.kept == mask_of()).all()
    assert len(new.calibration.scores) == len(old.calibration.scores)
    assert new.manifest.recalibration is not None
    assert new.manifest.recalibration.from_sha256 == old.sha256
    assert new.manifest.golden != old.manifest.golden
    assert_blind_inside_and_not_outside(judged, new, good_images[0])


@pytest.mark.parametrize("flags", [[], ["--whole", "--roi", "roi.png"]])
def test_the_mask_command_is_told_what_to_look_at(
    flags: list[str], artifacts_folder: Path, good_folder_of_bolts: Path, tmp_path: Path
) -> None:
    if "roi.png" in flags:
        (tmp_path / "roi.png").write_bytes(Regions(mask_of()).as_png())
        flags = [*flags[:-1], str(tmp_path / "roi.png")]
    command = ["mask", str(artifacts_folder / "bolt"), str(good_folder_of_bolts), "--out", str(tmp_path)]
    assert main([*command, *flags]) == ExitCode.USAGE
    assert not (tmp_path / "bolt").exists()


def test_masks_of_two_sizes_or_with_nothing_left_are_refused(tmp_path: Path) -> None:
    roi, ignore, small = (tmp_path / name for name in ("roi.png", "ignore.png", "small.png"))
    roi.write_bytes(Regions(mask_of(ignored=False)).as_png())
    ignore.write_bytes(Regions(mask_of(ignored=False)).as_png())
    small.write_bytes(Regions(np.ones((4, 16), np.bool_)[:, :9].repeat(3, axis=0)).as_png())
    found = read_regions(roi, None)
    assert found is not None
    assert (found.kept == mask_of(ignored=False)).all()
    for pair, words in (
        ((roi, ignore), "nothing"),
        ((roi, small), "two sizes"),
        ((tmp_path / "no.png", None), "No such"),
    ):
        with pytest.raises(DataError, match=words):
            read_regions(*pair)


@pytest.fixture(scope="module")
def tiled(
    tmp_path_factory: pytest.TempPathFactory,
    good_folder_of_bolts: Path,
    module_display: Display,
    source_weights: Mapping[str, torch.Tensor],
) -> Artifact:
    out = tmp_path_factory.mktemp("tiled")
    settings = TrainingSettings(
        method=PATCHCORE, image_size=32, hold_out=0.4, view="tiles", tile_side=32, tile_overlap=16
    )
    return train(TrainingJob(good_folder_of_bolts, "bolt", out, settings, backend="torch", threads=1), module_display)


def test_tiles_are_fitted_and_judged_as_one_picture(judged: Judge, tiled: Artifact, good_images: list[bytes]) -> None:
    again = load_artifact(tiled.path)
    assert again.judge.views.count == 4
    assert len(again.calibration.scores) == again.manifest.training.images_held_out
    good, bad = judged(again, good_images[0]), judged(again, with_a_blot(good_images[0], (26, 14)))
    assert good.map is not None
    assert bad.map is not None
    assert bad.map.shape == (40, 40)
    assert bad.score > good.score
    assert np.abs(bad.map - good.map).max() > 0


def test_each_tile_may_have_a_head_of_its_own(
    judged: Judge,
    good_folder_of_bolts: Path,
    tmp_path: Path,
    silent_display: Display,
    source_weights: Mapping[str, torch.Tensor],
    good_images: list[bytes],
) -> None:
    settings = TrainingSettings(
        method=PATCHCORE, image_size=32, hold_out=0.3, view="tiles", tile_side=32, tile_overlap=16, tile_heads="own"
    )
    job = TrainingJob(good_folder_of_bolts, "bolt", tmp_path, settings, backend="torch", threads=1)
    made = load_artifact(train(job, silent_display).path)
    assert made.manifest.method == made.head.method == "patchcore"
    assert set(made.head.tensors()) == {f"{tile}.{name}" for tile in range(4) for name in ("bank", "mean", "matrix")}
    assert judged(made, with_a_blot(good_images[0], (26, 14))).score > judged(made, good_images[0]).score


def test_tiles_want_pictures_of_one_size(good_folder_of_bolts: Path, tmp_path: Path, silent_display: Display) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for file in good_folder_of_bolts.iterdir():
        (data / file.name).write_bytes(file.read_bytes())
    other = cv2.imread(str(data / "000.png"))
    assert other is not None
    assert cv2.imwrite(str(data / "000.png"), cv2.resize(other, (48, 40)))
    settings = TrainingSettings(method=PATCHCORE, image_size=32, view="tiles")
    with pytest.raises(ValueError, match="one size"):
        train(TrainingJob(data, "bolt", tmp_path, settings, backend="torch", threads=1), silent_display)


@pytest.mark.parametrize("view", ["stretch", "letterbox", "centre", "tiles"])
def test_a_preview_is_drawn(view: str, good_folder_of_bolts: Path, tmp_path: Path) -> None:
    (tmp_path / "roi.png").write_bytes(Regions(mask_of()).as_png())
    out = tmp_path / "preview.png"
    command = ["preview", str(good_folder_of_bolts / "000.png"), "--image-size", "32", "--view", view]
    assert main([*command, "--roi", str(tmp_path / "roi.png"), "--out", str(out)]) == 0
    drawing = cv2.imread(str(out))
    assert drawing is not None
    assert drawing.shape[0] > 40 + 32
    assert (drawing[14, 26] < 60).all()
    assert main([*command, "--roi", str(tmp_path / "missing.png"), "--out", str(out)]) == ExitCode.INPUT
