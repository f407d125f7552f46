"""The sentences of the bottom line follow from the figures, most serious limit first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from models.artifact import Manifest, load_artifact
from models.calibration.conformal import Calibration, MapScale, images_for_review
from trainer.report.bottom_line import bottom_line
from trainer.same_part import NOT_TOLD_APART, consequence


def share(count: int, total: int) -> dict[str, float]:
    return {"count": count, "total": total, "share": count / total, "low_95": 0.0, "high_95": 0.5}


def decisions(ok: int, review: int, ng: int) -> dict[str, Any]:
    total = ok + review + ng
    counts = {"OK": ok, "REVIEW": review, "NG": ng}
    return {**counts, "ng_share": share(ng, total), "not_ok_share": share(ng + review, total)}


def figures(**changes: Any) -> dict[str, Any]:
    sound = {
        "image_auroc": 0.97,
        "brightness_control": {"as_it_is": 0.52},
        "decisions_on_good": decisions(96, 3, 1),
        "defects": {"scratch": {"decisions": decisions(2, 3, 15)}},
        "realised": [{"kept": True}],
        "masks": {"defective": 20, "found": 20, "inverted": False},
    }
    return {**sound, **changes}


@pytest.fixture
def manifest(artifacts_folder: Path) -> Manifest:
    """Of a product with 200 held-out images: all rates can be promised."""
    scores = tuple(float(number) for number in range(200))
    calibration = Calibration(scores=scores, map_scale=MapScale(low=0, high=2, threshold=1, rate_promised=0.05))
    return load_artifact(artifacts_folder / "bolt").manifest.model_copy(update={"calibration": calibration})


def test_rejects_reviews_and_misses_are_counted_by_the_thousand(manifest: Manifest) -> None:
    good, defective, kinds = bottom_line(figures(), manifest).on_the_line
    assert "Of 1,000 good parts 10 are rejected" in good
    assert "30 go to review" in good
    assert "at most 10 NG and 50 NG or REVIEW" in good
    assert "Of 1,000 defective parts like these 100 are missed" in defective  # 2 of 20: a review finds a part
    assert kinds == "Missed by kind: scratch 2 of 20."


def test_pictures_of_another_product_are_doubted_before_anything_else(manifest: Manifest) -> None:
    line = bottom_line(figures(decisions_on_good=decisions(40, 0, 60), image_auroc=0.6), manifest)
    assert line.limits[0].startswith("60 of 100 good parts here are NG: they may not be bolt")
    assert "name the artifact of their product" in line.next_steps[0]
    assert "may not be" not in bottom_line(figures(decisions_on_good=decisions(60, 0, 40)), manifest).limits[0]


def test_where_nothing_limits_the_product_it_may_serve(manifest: Manifest) -> None:
    line = bottom_line(figures(), manifest)
    assert line.limits == ("nothing that these images show",)
    assert line.next_steps[0].startswith("serve it")


@pytest.mark.parametrize(
    ("changes", "limit"),
    [
        ({"image_auroc": 0.6}, "overlap in score"),
        ({"brightness_control": {"as_it_is": 0.9}}, "brightness alone separates"),
        (
            {"defects": {"dent": {"decisions": decisions(9, 0, 1)}}},
            "90 % of the defective parts are called OK, most often dent",
        ),
        ({"masks": {"defective": 20, "found": 5, "inverted": False}}, "15 of 20 defective images have no mask"),
        ({"masks": {"defective": 20, "found": 20, "inverted": True}}, "look inverted"),
        (
            {"realised": [{"kept": False, "count": 9, "total": 40, "rate_promised": 0.05, "chance_high": 5}]},
            "the promised rate is not kept: 9 of 40",
        ),
    ],
)
def test_each_limit_is_named_with_a_step(manifest: Manifest, changes: dict[str, Any], limit: str) -> None:
    line = bottom_line(figures(**changes), manifest)
    assert len(line.limits) == len(line.next_steps) == 1
    assert limit in line.limits[0]
    assert "serve it" not in line.next_steps[0]


def test_too_few_held_out_images_leave_no_review(artifacts_folder: Path) -> None:
    manifest = load_artifact(artifacts_folder / "bolt").manifest
    count = len(manifest.calibration.scores)
    line = bottom_line(figures(), manifest)
    assert line.limits[0].startswith(f"REVIEW is never given: of {count} held-out images")
    assert f"{39 - count} more" in line.next_steps[0]
    review = manifest.calibration.thresholds().review
    assert review is not None
    assert (
        f"REVIEW is never given, as NG has no higher threshold: 39 held-out images would have one, {39 - count} more"
        in review.origin
    )


@pytest.mark.parametrize(("review", "ng"), [(0.05, 0.01), (0.1, 0.01), (0.02, 0.01), (0.5, 0.3)])
def test_so_many_images_are_the_fewest_for_a_review_band(review: float, ng: float) -> None:
    scale = MapScale(low=0, high=2, threshold=1, rate_promised=0.05)

    def apart(count: int) -> bool:
        scores = tuple(float(number) for number in range(count))
        found = Calibration(scores=scores, review_rate=review, ng_rate=ng, map_scale=scale).thresholds()
        return found.review is not None and found.review.value < found.ng.value

    needed = images_for_review(review, ng)
    assert needed is not None
    assert apart(needed)
    assert not any(apart(count) for count in range(1, needed))
    assert images_for_review(ng, ng) is None


def test_what_the_artifact_cannot_tell_apart_is_a_limit(manifest: Manifest) -> None:
    training = manifest.training.model_copy(update={"outcome": {NOT_TOLD_APART: consequence("mirrored")}})
    line = bottom_line(figures(), manifest.model_copy(update={"training": training}))
    assert line.limits == (consequence("mirrored"),)
    assert line.next_steps == ("where such a part is a defect, train again with --augment-same none",)
