"""--image-size auto: the cheapest view that shows the smallest defect, by a cost that is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from models.artifact import load_artifact
from models.artifact.versions import active_artifact
from models.backends.base import SourceBackend
from models.imaging.tiling import Tiling
from trainer.__main__ import main
from trainer.advise.view_size import AutoView, ViewOption, measured_cost, propose_view
from trainer.cli.arguments import parser
from trainer.cli.settings import names_method
from trainer.config import TrainingSettings
from trainer.quiet import QuietDisplay


def by_pixels(size: int) -> float:
    """A pass of 128 pixels takes 10 ms."""
    return 10 * (size / 128) ** 2


def test_a_small_square_picture_with_large_defects_is_seen_whole() -> None:
    taken = propose_view([(640, 640)], 60, None, by_pixels).taken
    assert (taken.view, taken.image_size, taken.tiling) == ("stretch", 128, None)
    assert taken.detail == pytest.approx(12)


def test_a_long_picture_is_cut_into_tiles_that_show_the_defect_at_its_size() -> None:
    taken = propose_view([(16384, 512)], 12, None, by_pixels).taken
    assert taken.tiling is not None
    assert (taken.view, taken.detail) == ("tiles", 12)
    assert taken.tiling.overlap >= 12
    settings = taken.applied(TrainingSettings())
    assert settings.preprocessing(65535, [(16384, 512)]).tiles == taken.tiling


def test_the_cheapest_by_the_measured_cost_is_taken() -> None:
    """Where every pass costs the same, the fewest; where large ones are dear, small ones."""
    assert propose_view([(2448, 2048)], 24, None, lambda _: 50.0).taken.image_size == 512
    assert propose_view([(2448, 2048)], 24, None, lambda size: float(size**4)).taken.image_size == 128


def test_tiles_are_taken_where_they_save_a_fifth_of_the_time() -> None:
    def dearer(by: float) -> Callable[[int], float]:
        """Tiles of 384, of which four cover the picture, and the whole, which costs `by` times as much."""
        return lambda size: {384: 100.0, 640: 400 * by}.get(size, 1e6)

    assert propose_view([(640, 640)], 10, None, dearer(1.2)).taken.tiling is None
    taken = propose_view([(640, 640)], 10, None, dearer(1.3)).taken
    assert taken.tiling is not None
    assert taken.tiling.count == 4
    assert propose_view([(640, 640)], 10, None, dearer(1.3), whole=True).taken.image_size == 640
    with pytest.raises(ValueError, match="no whole view of these pictures shows a defect of 4 pixels: name a method"):
        propose_view([(16384, 512)], 4, None, by_pixels, whole=True)


def test_over_the_budget_less_detail_is_shown_and_told() -> None:
    whole = propose_view([(640, 640)], 12, None, by_pixels)
    assert len(whole.tried) == 1
    tight = propose_view([(640, 640)], 12, 100.0, by_pixels)
    assert tight.taken.ms <= 100 < whole.taken.ms
    assert tight.taken.detail < whole.taken.detail
    lines = list(tight.lines())
    assert "over the 100 ms" in lines[0]
    assert lines[-1].startswith("beware: 12")
    hopeless = propose_view([(640, 640)], 12, 1.0, by_pixels)
    assert list(hopeless.lines())[-1].startswith("beware: nothing that shows such a defect takes 1 ms")


def test_pictures_of_several_sizes_are_not_cut() -> None:
    taken = propose_view([(400, 300), (300, 400)], 20, None, by_pixels).taken
    assert (taken.view, taken.image_size) == ("letterbox", 256)
    with pytest.raises(ValueError, match="no view of these pictures shows"):
        propose_view([(9000, 3000), (3000, 9000)], 4, None, by_pixels)


def test_the_cost_is_that_of_the_backend_and_measured_once_for_each_size(averaging_backend: SourceBackend) -> None:
    cost = measured_cost(averaging_backend, ["pool2"])
    first = cost(64)
    assert first == cost(64) > 0
    assert averaging_backend.images_seen == 3  # type: ignore[attr-defined]
    assert cost(1024) == 4 * cost(512)


class _Heard(QuietDisplay):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        """Kept."""
        self.said.append(text)


def said_and_settings(view: AutoView, image_size: int, tiling: Tiling | None = None) -> tuple[list[str], str]:
    """What is told, and the method in the end, where patchcore stands in the settings."""
    display = _Heard()
    taken = ViewOption("stretch" if tiling is None else "tiles", image_size, tiling, 12, 100)
    settings = TrainingSettings.model_validate({"method": {"method": "patchcore"}})
    return display.said, view.with_method(taken, settings, display).method.method


def test_a_large_picture_seen_whole_gets_the_method_for_small_defects_where_none_is_named() -> None:
    said, method = said_and_settings(AutoView(10, own_method=True), 640)
    assert method == "mkd"
    assert "method: mkd, small windows" in said[0]
    assert said_and_settings(AutoView(10), 640) == ([], "patchcore")
    assert said_and_settings(AutoView(10, own_method=True), 256) == ([], "patchcore")
    tiling = Tiling(side=640, overlap=160, width=2000, height=2000, version=2)
    assert said_and_settings(AutoView(10, own_method=True), 640, tiling) == ([], "patchcore")


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ([], False),
        (["--method", "padim"], True),
        (["--set", "bank_size=100"], True),
        (["--config", "{file}"], True),
    ],
)
def test_a_method_is_named_by_a_flag_or_the_file_or_a_setting_of_it(
    tmp_path: Path, flags: list[str], named: bool
) -> None:
    file = tmp_path / "fit.toml"
    file.write_text("[method]\nmethod = 'patchcore'\n")
    line = ["fit", "pictures", "--product", "board", *(flag.format(file=file) for flag in flags)]
    assert names_method(parser().parse_args(line)) == named


@pytest.mark.long
def test_preview_and_fit_choose_alike_and_the_artifact_says_why(
    tmp_path: Path, source_weights: Mapping[str, torch.Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    folder = tmp_path / "good"
    folder.mkdir()
    for number in range(12):
        texture = cv2.GaussianBlur(random.integers(0, 256, (96, 480, 3), np.uint8), (0, 0), 2)
        cv2.imwrite(str(folder / f"{number:02}.png"), texture)
    auto = ["--image-size", "auto", "--smallest-defect", "30", "--backend", "torch", "--threads", "1"]
    picture = str(folder / "00.png")
    assert main(["preview", picture, *auto, "--out", str(tmp_path / "preview.png")]) == 0
    assert "chosen: " in capsys.readouterr().err
    out = tmp_path / "artifacts"
    plain = ["--method", "patchcore", "--set", "bank_size=50", "--split", "random", "--accept-degenerate"]
    assert main(["fit", str(folder), "--product", "strip", "--out", str(out), *auto, *plain]) == 0
    manifest = load_artifact(active_artifact(out / "strip")).manifest
    outcome = manifest.training.outcome["view"]
    assert isinstance(outcome, dict)
    assert outcome["smallest_defect"] == 30
    assert any("chosen: " in line for line in outcome["why"])
    assert manifest.preprocessing.image_size == 192 or manifest.preprocessing.tiles is not None


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--image-size", "auto"], "needs --smallest-defect"),
        (["--smallest-defect", "12"], "goes with --image-size auto"),
        (["--image-size", "auto", "--smallest-defect", "12", "--view", "tiles"], "chooses the view as well"),
    ],
)
def test_flags_that_contradict_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], words: str
) -> None:
    assert main(["fit", str(tmp_path), "--product", "strip", "--out", str(tmp_path / "out"), *flags]) != 0
    assert words in capsys.readouterr().err
