"""What a STUDY.toml may say, and how its parts come together."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.heads.mkd.config import MkdConfig
from trainer.data import DataError
from trainer.study.plan import read_plan

WHOLE = """
name = "one"
seeds = [0, 3]
controls = ["pooled-pool5"]
[training]
hold_out = 0.3
[methods.mkd]
steps = 50
batch_size = 8
[[data]]
name = "bolts"
path = "bolts"
training = { hold_out = 0.4, image_size = 64 }
[[variant]]
name = "mean"
method = { score_power = 1.0, steps = 70 }
training = { hold_out = 0.5 }
[[variant]]
name = "paper"
method = { recipe = "paper" }
only = ["bolts"]
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "study.toml"
    file.write_text(text)
    return file


def test_a_variants_settings_come_over_the_data_sets_and_these_over_the_studys(tmp_path: Path) -> None:
    plan = read_plan(write(tmp_path, WHOLE))
    mean, paper = (plan.settings(plan.data[0], variant, 3) for variant in plan.variant)
    assert (mean.hold_out, mean.image_size, mean.seed) == (0.5, 64, 3)
    assert mean.method == MkdConfig(score_power=1.0, steps=70, batch_size=8)
    assert (paper.hold_out, paper.method) == (0.4, MkdConfig(recipe="paper", steps=50, batch_size=8))


def test_a_control_shares_the_settings_that_decide_what_is_seen(tmp_path: Path) -> None:
    plan = read_plan(write(tmp_path, WHOLE))
    assert plan.settings(plan.data[0], None, 0).image_size == 64


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("score_power", "score_pover"), "score_pover"),
        (("steps = 70", "stebs = 70"), "did you mean steps"),
        (('recipe = "paper"', 'recipe = "papper"'), "recipe"),
        (('only = ["bolts"]', 'only = ["nuts"]'), "no data set nuts"),
        (('name = "paper"', 'name = "mean"'), "mean is there twice"),
        (("seeds = [0, 3]", "seeds = [3, 3]"), "seed 3 is there twice"),
        (("seeds = [0, 3]", "seeds = [0, 3"), "is not TOML"),
        (("hold_out = 0.4", 'method = { method = "padim" }'), "a variant names its method"),
        (('name = "bolts"', 'name = "../bolts"'), "data.0.name"),
        (("hold_out = 0.5", 'calibrate_under = ["light"]'), "by what it has cached"),
        (("pooled-pool5", "pooled-pool9"), "there is no control pooled-pool9"),
    ],
)
def test_a_mistake_is_named_before_anything_runs(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    assert change[0] in WHOLE
    with pytest.raises(DataError, match=words):
        read_plan(write(tmp_path, WHOLE.replace(*change)))


def test_a_plan_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_plan(tmp_path / "none.toml")


def test_the_plans_of_the_repository_are_whole() -> None:
    plans = sorted((Path(__file__).parents[2] / "studies").glob("*.toml"))
    assert plans
    for file in plans:
        assert read_plan(file).name == file.stem
