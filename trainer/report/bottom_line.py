"""What an evaluation means for the line, in sentences: rejects and misses, what limits them, and what to do next.

A defective part is *missed* where its decision is OK; one that goes to review is found. Intervals are exact
(Clopper-Pearson, 95 %). Nothing here chooses anything for the artifact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.artifact import Manifest
from trainer import metrics
from trainer.few_images import folds_words, images_wanted
from trainer.report.smallest_found import smallest_found
from trainer.same_part import NOT_TOLD_APART

POOR_AUROC = 0.8  # below it good and defective parts overlap too much for any threshold
LIGHT_AUROC = 0.15  # distance of the brightness control from one half, from which it is named
FEWEST_TO_DOUBT = 8  # good parts
MANY_MISSED = 0.1  # of the defective parts


@dataclass(frozen=True)
class BottomLine:
    """Sentences: what the product would do on the line, what limits it, and what to do about it."""

    on_the_line: tuple[str, ...]
    limits: tuple[str, ...]
    next_steps: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """At most five lines for a terminal."""
        return [*self.on_the_line[:3], f"limits: {self.limits[0]}", f"next: {self.next_steps[0]}"]


def bottom_line(numbers: Mapping[str, Any], manifest: Manifest) -> BottomLine:
    """The figures of `trainer.figures.measure` and the artifact's manifest -> sentences."""
    found = [each for each in _findings(numbers, manifest) if each]
    limits = tuple(limit for limit, _ in found)
    steps = tuple(dict.fromkeys(step for _, step in found))
    return BottomLine(
        on_the_line=(_good_parts(numbers, manifest), _defective_parts(numbers), _kinds(numbers), *_painted(numbers)),
        limits=limits or ("nothing that these images show",),
        next_steps=steps or ("serve it, and watch drift and rejects on the line",),
    )


def _good_parts(numbers: Mapping[str, Any], manifest: Manifest) -> str:
    good, thresholds = numbers["decisions_on_good"], manifest.calibration.thresholds()
    ng, not_ok = good["ng_share"], good["not_ok_share"]
    promised = f"at most {_thousand(thresholds.ng.rate_promised)} NG"
    if thresholds.review is not None and thresholds.review.value < thresholds.ng.value:
        promised += f" and {_thousand(thresholds.review.rate_promised)} NG or REVIEW"
    return (
        f"Of 1,000 good parts {_thousand(ng['share'])} are rejected ({_span(ng)}) and "
        f"{_thousand(not_ok['share'] - ng['share'])} go to review, "
        f"by {ng['total']} good parts here; promised are {promised}."
    )


def _defective_parts(numbers: Mapping[str, Any]) -> str:
    missed = missed_share(numbers)
    if missed is None:
        return "There are no defective parts here, so nothing is known of misses."
    return (
        f"Of 1,000 defective parts like these {_thousand(missed.share)} are missed, that is called OK "
        f"({_thousand(missed.low)} to {_thousand(missed.high)}), by {missed.total} parts here."
    )


def _kinds(numbers: Mapping[str, Any]) -> str:
    kinds = {name: one["decisions"] for name, one in numbers["defects"].items()}
    if not kinds:
        return "Kinds of defects: none."
    worst = sorted(kinds.items(), key=lambda item: -_missed(item[1]))
    return "Missed by kind: " + ", ".join(f"{name} {d['OK']} of {d['ng_share']['total']}" for name, d in worst) + "."


def _painted(numbers: Mapping[str, Any]) -> list[str]:
    record = numbers.get("painted_defects")
    return [smallest_found(record)] if record is not None else []


def missed_share(numbers: Mapping[str, Any]) -> metrics.Rate | None:
    """The share of all defective parts whose decision is OK; None where there is no defective part."""
    decisions = [one["decisions"] for one in numbers["defects"].values()]
    total = sum(one["ng_share"]["total"] for one in decisions)
    return metrics.rate(sum(one["OK"] for one in decisions), total) if total else None


def _findings(numbers: Mapping[str, Any], manifest: Manifest) -> list[tuple[str, str] | None]:
    """(what limits, what to do), most serious first."""
    return [
        _another_product(numbers, manifest),
        _promise(numbers),
        _separation(numbers),
        _light(numbers),
        _held_out(manifest),
        _misses(numbers),
        _not_told_apart(manifest),
        _masks(numbers),
    ]


def _another_product(numbers: Mapping[str, Any], manifest: Manifest) -> tuple[str, str] | None:
    rejected = numbers["decisions_on_good"]["ng_share"]
    if rejected["total"] < FEWEST_TO_DOUBT or 2 * rejected["count"] <= rejected["total"]:
        return None
    return (
        f"{rejected['count']} of {rejected['total']} good parts here are NG: they may not be {manifest.product}, or "
        "were taken in another way than the training images",
        f"look at these pictures: if they show {manifest.product}, recalibrate or train with some of them, else name "
        "the artifact of their product",
    )


def _promise(numbers: Mapping[str, Any]) -> tuple[str, str] | None:
    broken = [one for one in numbers["realised"] if not one["kept"]]
    if not broken:
        return None
    one = broken[0]
    return (
        f"the promised rate is not kept: {one['count']} of {one['total']} good parts lie above the threshold of "
        f"{100 * one['rate_promised']:.2g} %, where chance allows {one['chance_high']}; "
        "these parts differ from those in training",
        "compare light, camera and lot with the training images; "
        "then recalibrate with new good images, or train with both",
    )


def _separation(numbers: Mapping[str, Any]) -> tuple[str, str] | None:
    auroc = numbers["image_auroc"]
    if auroc is None or auroc >= POOR_AUROC:
        return None
    return (
        f"good and defective parts overlap in score (image AUROC {100 * auroc:.1f} %)",
        "try a larger --image-size, another method (`mkd-train methods`), or a closer camera",
    )


def _light(numbers: Mapping[str, Any]) -> tuple[str, str] | None:
    control = numbers["brightness_control"]["as_it_is"]
    if control is None or abs(control - 0.5) < LIGHT_AUROC:
        return None
    return (
        f"brightness alone separates these images (AUROC {100 * control:.1f} %), so the figures may say more of "
        "the light than of the defects",
        "take good and defective parts under the same light, and evaluate again",
    )


def _held_out(manifest: Manifest) -> tuple[str, str] | None:
    calibration, wanted = manifest.calibration, images_wanted(manifest.calibration)
    if wanted is None:
        return None
    (review, ng), images = calibration.thresholds(), calibration.images_words
    if review is not None and review.value >= ng.value and review.rate_asked > ng.rate_asked:
        limit = f"REVIEW is never given: of {images} its threshold is that of NG"
    else:
        limit = (
            f"{images} can promise {100 * ng.rate_promised:.2g} % of false rejects at best, "
            f"where {100 * ng.rate_asked:.2g} % is wanted"
        )
    more = max(1, wanted - len(calibration.scores))
    enough = f"{wanted} are held out" if calibration.folds is None else f"there are {wanted}"
    instead = folds_words(manifest)
    return limit, f"add good images until {enough}, {more} more" + (f"; or {instead}" if instead is not None else "")


def _misses(numbers: Mapping[str, Any]) -> tuple[str, str] | None:
    missed = missed_share(numbers)
    if missed is None or missed.share <= MANY_MISSED:
        return None
    kinds = {name: _missed(one["decisions"]) for name, one in numbers["defects"].items()}
    worst = max(kinds, key=lambda name: kinds[name])
    return (
        f"{100 * missed.share:.0f} % of the defective parts are called OK, most often {worst}",
        "look at them in the gallery: where the defect is small in the picture, take a larger --image-size; else try "
        "another method (`mkd-train methods`) or allow more false rejects (the slider below says what that would find)",
    )


def _not_told_apart(manifest: Manifest) -> tuple[str, str] | None:
    words = manifest.training.outcome.get(NOT_TOLD_APART)
    if words is None:
        return None
    return str(words), "where such a part is a defect, train again with --augment-same none"


def _masks(numbers: Mapping[str, Any]) -> tuple[str, str] | None:
    masks = numbers["masks"]
    if masks["inverted"]:
        return (
            "the masks look inverted: pixel figures mean nothing",
            "invert the masks: above 0 is defect, 0 is background",
        )
    if masks["found"] < masks["defective"]:
        return (
            f"{masks['defective'] - masks['found']} of {masks['defective']} defective images have no mask: where their "
            "defects lie is not measured",
            "add masks in ground_truth/<defect>",
        )
    return None


def _missed(decisions: Mapping[str, Any]) -> float:
    return float(decisions["OK"] / decisions["ng_share"]["total"])


def _thousand(share: float) -> str:
    return f"{1000 * share:.0f}"


def _span(rate: Mapping[str, float]) -> str:
    return f"{_thousand(rate['low_95'])} to {_thousand(rate['high_95'])}"
