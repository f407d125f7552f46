"""Whole tiny studies on the real source: resumable, shared, and the table says what happened."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

from models.backends.base import SourceKey
from models.heads.base import Bar
from trainer.config import TrainingSettings
from trainer.fit_run import Display
from trainer.loop import GradientLoop, Progress
from trainer.study.plan import StudyPlan
from trainer.study.results import Results
from trainer.study.runs import images_key
from trainer.study.stores import Stores
from trainer.study.study import StudyJob, run_study
from trainer.study.trainings import look_steps

pytestmark = pytest.mark.long

CPU = torch.device("cpu")


@pytest.fixture
def bolts(tmp_path: Path, good_folder_of_bolts: Path, good_images: list[bytes], bad_image: bytes) -> Path:
    """12 training pictures, 4 good test pictures, and one blot with its mask."""
    data = tmp_path / "bolts"
    for folder in ("train/good", "test/good", "test/blot", "ground_truth/blot"):
        (data / folder).mkdir(parents=True)
    for file in good_folder_of_bolts.iterdir():
        (data / "train" / "good" / file.name).write_bytes(file.read_bytes())
    for number, content in enumerate(good_images[:4]):
        (data / "test" / "good" / f"{number}.png").write_bytes(content)
    (data / "test" / "blot" / "0.png").write_bytes(bad_image)
    mask = cv2.circle(torch.zeros(40, 40, dtype=torch.uint8).numpy(), (26, 14), 6, 255, -1)
    assert cv2.imwrite(str(data / "ground_truth" / "blot" / "0_mask.png"), mask)
    return data


def job(bolts: Path, tmp_path: Path, **fields: object) -> StudyJob:
    plan = {
        "name": "tiny",
        "checkpoints": 2,
        "training": {"image_size": 32, "hold_out": 0.4},
        "methods": {"mkd": {"steps": 6, "batch_size": 4}},
        "data": [{"name": "bolts", "path": bolts}],
        "variant": [{"name": "default"}],
        **fields,
    }
    return StudyJob(StudyPlan.model_validate(plan), tmp_path / "out", CPU, backend="torch", threads=1)


def lines(of: StudyJob) -> dict[tuple[str, str], Any]:
    found = json.loads((of.out / "table.json").read_text())["lines"]
    return {(line["data"], line["method"]): line for line in found}


class InterruptingDisplay:
    """A display at which Ctrl-C is pressed when a training bar reaches a step."""

    def __init__(self, step: int) -> None:
        self._step = step

    def say(self, text: str) -> None:
        """Nothing."""

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Bar]:
        yield _Bar(self._step if "seed" in title else -1)


class _Bar:
    def __init__(self, step: int) -> None:
        self._step = step

    def update(self, done: int, note: str = "") -> None:
        if done == self._step:
            raise KeyboardInterrupt


def test_a_study_runs_every_seed_variant_and_control_once_and_tables_them(
    bolts: Path,
    tmp_path: Path,
    source_weights: Mapping[str, torch.Tensor],
    silent_display: Display,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    filled: list[int] = []
    fill = Stores.seen

    def counted(*arguments: Any) -> Any:
        seen = fill(*arguments)
        filled.append(id(seen.store))
        return seen

    monkeypatch.setattr(Stores, "seen", counted)
    turned = {"copies": 2, "rotation": 10}
    study = job(
        bolts,
        tmp_path,
        seeds=[0, 1],
        controls=["brightness", "brightness-distance", "pooled-pool4"],
        variant=[
            {"name": "default"},
            {"name": "turned", "method": {"recipe": "paper"}, "training": {"augmentation": turned}},
            {"name": "patches", "method": {"method": "patchcore", "bank_size": 40}},
        ],
    )
    outcome = run_study(study, silent_display)
    assert outcome.missing == ()
    assert said[-1] == "12 runs done now, 0 were there, 0 missing"
    assert len(filled) == 12
    assert len(set(filled)) == 1, "all runs share one pass of the source"
    table = lines(study)
    default = table["bolts", "default"]
    assert len(default["figures"]["image_auroc"]["values"]) == 2
    assert default["figures"]["pixel_auroc"] is not None
    assert default["swing"]["image_auroc"] is not None
    assert [one["rate_asked"] for one in default["realised"][0]] == [0.01, 0.02, 0.05, 0.1]
    assert table["bolts", "patches"]["figures"]["pixel_auroc"] is not None
    assert table["bolts", "brightness"]["figures"]["pixel_auroc"] is None
    control = default["brightness"]["as_it_is"]
    assert table["bolts", "brightness"]["figures"]["image_auroc"]["mean"] == pytest.approx(control)
    page = outcome.table.read_text()
    for words in ("| bolts | default |", "## False rejects", "## Brightness control", "![training.png]"):
        assert words in page
    assert sorted(path.name for path in study.out.iterdir()) == [
        "figures.png",
        "runs",
        "table.json",
        "table.md",
        "trained",
        "training.png",
    ]

    before = outcome.table.read_text()
    run_study(study, silent_display)
    assert said[-1] == "0 runs done now, 12 were there, 0 missing"
    assert outcome.table.read_text() == before
    monkeypatch.setattr(GradientLoop, "run", lambda *_: pytest.fail("nothing is left to train"))
    run_study(job(bolts, tmp_path, seeds=[1]), silent_display)
    assert said[-1] == "0 runs done now, 1 were there, 0 missing"


def test_runs_that_only_judge_differently_share_one_training(
    bolts: Path,
    tmp_path: Path,
    source_weights: Mapping[str, torch.Tensor],
    silent_display: Display,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paper = {"name": "paper", "method": {"recipe": "paper"}}
    run_study(job(bolts, tmp_path / "apart", variant=[paper]), silent_display)
    trainings: list[int] = []
    run = GradientLoop.run

    def counted(loop: GradientLoop, told: Callable[[Progress], None]) -> None:
        trainings.append(loop.step)
        run(loop, told)

    monkeypatch.setattr(GradientLoop, "run", counted)
    steep = {"name": "steep", "method": {"recipe": "paper", "map_power": 2.0}}
    both = job(bolts, tmp_path / "both", variant=[steep, paper])
    run_study(both, silent_display)
    assert len(trainings) == 1
    apart = lines(job(bolts, tmp_path / "apart", variant=[paper]))["bolts", "paper"]["figures"]
    assert lines(both)["bolts", "paper"]["figures"] == apart
    run_study(
        job(bolts, tmp_path / "both", variant=[{"name": "plain", "method": {"recipe": "paper", "batchnorm": False}}]),
        silent_display,
    )
    assert len(trainings) == 2, "another cloner is another training"


def test_other_settings_are_other_runs(
    bolts: Path,
    tmp_path: Path,
    source_weights: Mapping[str, torch.Tensor],
    silent_display: Display,
    said: list[str],
) -> None:
    run_study(job(bolts, tmp_path), silent_display)
    changed = job(bolts, tmp_path, variant=[{"name": "default", "method": {"score_power": 2.0}}])
    run_study(changed, silent_display)
    assert said[-1] == "1 runs done now, 0 were there, 0 missing"
    (bolts / "test" / "good" / "0.png").unlink()
    run_study(changed, silent_display)
    assert said[-1] == "1 runs done now, 0 were there, 0 missing"


def test_an_interrupted_run_goes_on_to_the_same_figures(
    bolts: Path,
    tmp_path: Path,
    source_weights: Mapping[str, torch.Tensor],
    silent_display: Display,
    said: list[str],
) -> None:
    whole, broken = (job(bolts, tmp_path / name, variant=[{"name": "v"}], checkpoints=3) for name in ("a", "b"))
    run_study(whole, silent_display)
    with pytest.raises(KeyboardInterrupt):
        run_study(broken, InterruptingDisplay(5))
    assert not (broken.out / "table.md").exists()
    assert [path.name for path in (broken.out / "runs").iterdir()] == []
    run_study(broken, silent_display)
    assert any("going on from step 5" in line for line in said)
    assert lines(broken)["bolts", "v"]["figures"] == lines(whole)["bolts", "v"]["figures"]
    assert lines(broken)["bolts", "v"]["swing"] == pytest.approx(lines(whole)["bolts", "v"]["swing"], rel=1e-6)


def test_what_is_missing_and_what_diverged_is_said_and_the_rest_is_done(
    bolts: Path,
    tmp_path: Path,
    source_weights: Mapping[str, torch.Tensor],
    silent_display: Display,
) -> None:
    wild = {"name": "wild", "method": {"learning_rate": 1e30, "batchnorm": False}}
    data = [{"name": "gone", "path": tmp_path / "gone"}, {"name": "bolts", "path": bolts}]
    study = job(bolts, tmp_path, data=data, variant=[{"name": "good"}, wild])
    outcome = run_study(study, silent_display)
    assert [text.split(":")[0] for text in outcome.missing] == ["gone", "bolts, wild, seed 0"]
    page = outcome.table.read_text()
    assert "Not in the table: gone:" in page
    assert "## Runs that failed" in page
    assert "| bolts | good |" in page


def test_a_run_that_another_process_has_taken_is_left_to_it(tmp_path: Path) -> None:
    results = Results(tmp_path)
    with results.taken("a") as first, results.taken("a") as second, results.taken("b") as other:
        assert (first, second, other) == (True, False, True)
    with results.taken("a") as again:
        assert again


def test_a_damaged_result_counts_as_none(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.write("a", {"seed": 0})
    assert results.read("a") == {"seed": 0, "fingerprint": "a"}
    (tmp_path / "a.json").write_text('{"seed": 0, "fing')
    assert results.read("a") is None
    with pytest.raises(ValueError, match="JSON"):
        results.write("b", {"seed": float("nan")})
    assert results.read("b") is None


def test_looks_are_spread_over_the_last_third() -> None:
    assert look_steps(3000, 4) == [2000, 2333, 2667, 3000]
    assert look_steps(3000, 1) == [3000]
    assert look_steps(2, 4) == [2]


def test_weights_are_shared_by_runs_that_train_on_the_same_images_alone() -> None:
    source = SourceKey("vgg16", "0" * 64, "source", "float32")

    def key(**settings: object) -> str:
        return images_key("data", source, TrainingSettings.model_validate(settings))

    assert key() == f"data {source}", "weights from before stay in use"
    assert key(seed=3, ng_rate=0.02, method={"method": "padim"}) == key()
    others = [
        key(image_size=64),
        key(hold_out=0.5),
        key(augmentation={"same": "mirrored"}),
        key(augmentation={"same": "upside_down"}),
        key(augmentation={"rotation": 5}),
    ]
    assert len({key(), *others}) == 6
