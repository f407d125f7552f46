"""Means, spreads and the lines of whole groups, worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from trainer.study.plan import StudyPlan
from trainer.study.summary import summary
from trainer.study.table import markdown


def result(data: str, seed: int, image: float, looks: tuple[float, ...] = (), **fields: Any) -> dict[str, Any]:
    return {
        "data": data,
        "group": data.split("-")[0],
        "variant": "v",
        "control": False,
        "seed": seed,
        "figures": {
            "image_auroc": image,
            "pixel_auroc": None,
            "pro": None,
            "caught": image / 2,
            "brightness_control": {"as_it_is": 0.5, "distance_from_training": None},
            "realised": [],
            "seconds": 1.0,
            "checkpoints": [{"step": n, "image_auroc": value, "pixel_auroc": None} for n, value in enumerate(looks)],
        },
        **fields,
    }


def test_a_line_has_mean_spread_and_the_widest_swing_of_any_seed() -> None:
    (line,) = summary([result("bolts", 0, 0.80, (0.70, 0.80)), result("bolts", 1, 0.90, (0.89, 0.92, 0.90))])
    spread = line.figures["image_auroc"]
    assert spread is not None
    assert (spread.mean, spread.low, spread.high) == pytest.approx((0.85, 0.80, 0.90))
    assert spread.deviation == pytest.approx(0.05 * 2**0.5)
    assert line.swing["image_auroc"] == pytest.approx(0.10)
    assert line.figures["pixel_auroc"] is None


def test_a_group_is_averaged_over_its_sets_within_each_seed() -> None:
    values = {("f-0", 0): 0.6, ("f-0", 1): 0.8, ("f-1", 0): 1.0, ("f-1", 1): 0.9}
    *_, group = summary([result(data, seed, value) for (data, seed), value in values.items()])
    assert (group.data, group.sets) == ("f", 2)
    spread = group.figures["image_auroc"]
    assert spread is not None
    assert spread.values == pytest.approx((0.8, 0.85))


def test_a_failed_run_leaves_the_others_figures_and_its_words() -> None:
    broken = {**result("bolts", 1, 0.0), "failed": "the loss became nan"}
    del broken["figures"]
    (line,) = summary([result("bolts", 0, 0.7), broken])
    assert line.failed == ("the loss became nan",)
    assert line.figures["image_auroc"] is not None
    assert line.figures["image_auroc"].values == (0.7,)


def test_the_page_gives_percent_and_names_what_is_missing() -> None:
    plan = StudyPlan.model_validate(
        {"name": "s", "data": [{"name": "bolts", "path": "x"}], "variant": [{"name": "v"}], "seeds": [0, 1]}
    )
    page = markdown(plan, summary([result("bolts", 0, 0.80), result("bolts", 1, 0.90)]), ["Not in the table: x."], [])
    assert "| bolts | v | 85.0 ± 7.1 (80.0 to 90.0) | - | - | - | - | 42.5 ± 3.5 (40.0 to 45.0) | 1 |" in page
    assert "Not in the table: x." in page
    assert "## False rejects" not in page
