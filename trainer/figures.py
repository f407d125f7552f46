"""A labelled set, what a detector said of it and a calibration in; AUROC, PRO and rates with their intervals out.

Used for artifacts (`trainer.evaluate`), and for every run and baseline of a study.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from models.calibration.conformal import Calibration, Decision
from models.calibration.recalibration import ScoresAndMaps
from models.imaging.decode import ImageError
from models.imaging.masks import Mask, looks_inverted
from models.imaging.picture_views import PictureViews
from trainer import metrics
from trainer.data import read_pixels
from trainer.labelled import GOOD, MASK_FORMS, LabelledImage
from trainer.realised import RATES, realised_rates

EVALUATION_SIDE = 256  # masks and maps are compared at most at this size of the longer side, to bound the memory
PRO_POINT_EVERY = 5  # of the curve's points, those that a report keeps
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Truth:
    """What is known of a labelled set before anything judges it: mask and mean brightness of each readable image."""

    images: tuple[LabelledImage, ...]
    masks: tuple[Mask | None, ...]
    brightness: tuple[float, ...]
    unreadable: tuple[str, ...]

    @property
    def anomalous(self) -> npt.NDArray[np.bool_]:
        """Which images show a defective part."""
        return np.array([image.anomalous for image in self.images])

    def small_mask(self, number: int, size: int) -> Mask:
        """A known mask squeezed to (size, size)."""
        mask = self.masks[number]
        assert mask is not None
        squeezed = cv2.resize(mask.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
        return np.asarray(squeezed) > 0.5

    def masks_of_defects(self) -> list[Mask | None]:
        """The masks of the defective parts alone."""
        return [mask for image, mask in zip(self.images, self.masks, strict=True) if image.anomalous]

    def mask_record(self) -> dict[str, object]:
        """Of how many defective pictures a mask was found, under which names, and whether they look inverted."""
        masks = self.masks_of_defects()
        known = [mask for mask in masks if mask is not None]
        return {
            "defective": len(masks),
            "found": len(known),
            "looked_for": list(MASK_FORMS),
            "inverted": looks_inverted(known),
        }

    def mask_words(self) -> list[str]:
        """The same for a person; nothing where every defective picture has a mask that looks right."""
        record = self.mask_record()
        lines = []
        if record["found"] != record["defective"]:
            lines.append(
                f"masks: found for {record['found']} of {record['defective']} defective images; looked for in "
                f"ground_truth/<defect> as {', '.join(MASK_FORMS)} with any image ending, in any case"
            )
        if record["inverted"]:
            lines.append(
                "beware: most masks mark more than half of their picture as defect: they look inverted, and then pixel "
                "AUROC and PRO mean nothing. Above 0 is defect, 0 is background"
            )
        return lines


def read_truth(labelled: Sequence[LabelledImage], views: PictureViews) -> Truth:
    """Looks at every image and mask once; what cannot be read is named in `unreadable` and left out.

    So is a picture that the service would refuse: far outside of the levels in training, or of another size.
    """
    images, masks, brightness, unreadable = [], [], [], []
    for image in labelled:
        try:
            pixels = read_pixels(image.file, views.preprocessing.groups)
            light = float(views.prepare(pixels, look_at_levels=True).whole.mean())
        except (ImageError, OSError) as error:
            unreadable.append(f"{image.defect}/{image.file.name}: {error}")
            continue
        height, width = pixels.shape[:2]
        shrink = min(1.0, EVALUATION_SIDE / max(height, width))
        images.append(image)
        masks.append(image.mask(max(1, round(width * shrink)), max(1, round(height * shrink))))
        brightness.append(light)
    return Truth(tuple(images), tuple(masks), tuple(brightness), tuple(unreadable))


@dataclass(frozen=True)
class Evaluated:
    """One test image with its verdict; `map` is (S, S), `mask` at the comparison's size or None where unknown.

    `group` is the group of channels that decided, of a product that has several.
    """

    image: LabelledImage
    score: float
    p_value: float
    decision: Decision
    map: Floats
    mask: Mask | None
    brightness: float
    group: str | None = None

    def lit(self, calibration: Calibration) -> bool:
        """Whether any pixel of the map is above the map's threshold."""
        return bool((self.map > calibration.map_scale.threshold).any())

    def as_json(self) -> dict[str, object]:
        """One line of images.json: for whoever wants to count anew."""
        return {
            "file": f"{self.image.defect}/{self.image.file.name}",
            "defect": self.image.defect,
            "score": self.score,
            "p_value": self.p_value,
            "decision": self.decision,
            "map_peak": float(self.map.max()),
            **({"group": self.group} if self.group is not None else {}),
        }

    def map_at_mask(self) -> Floats:
        """The map at the size of the mask."""
        assert self.mask is not None
        height, width = self.mask.shape
        resized: Floats = cv2.resize(self.map, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
        return resized


def evaluated(truth: Truth, judged: ScoresAndMaps, calibration: Calibration) -> list[Evaluated]:
    """The verdict on every image of `truth`, in its order."""
    thresholds = calibration.thresholds()
    return [
        Evaluated(image, float(score), calibration.p_value(float(score)), thresholds.decide(float(score)), *rest)
        for image, score, *rest in zip(
            truth.images,
            judged.scores,
            judged.maps,
            truth.masks,
            truth.brightness,
            judged.groups or [None] * len(judged.scores),
            strict=True,
        )
    ]


def measure(
    found: Sequence[Evaluated],
    calibration: Calibration,
    training_brightness: float | None,
    *,
    with_map: bool = True,
) -> dict[str, object]:
    """All figures of one judged set. AUROC and PRO from 0 to 1; None where they cannot be computed.

    Without a map, as some baselines are, nothing is said of where.
    """
    anomalous = np.array([one.image.anomalous for one in found])
    scores = np.array([one.score for one in found], dtype=np.float32)
    light = np.array([one.brightness for one in found], dtype=np.float32)
    control: dict[str, float | None] = {"as_it_is": metrics.auroc(anomalous, light), "distance_from_training": None}
    if training_brightness is not None:
        control["distance_from_training"] = metrics.auroc(anomalous, np.abs(light - np.float32(training_brightness)))
    defects = sorted({one.image.defect for one in found} - {GOOD})
    quiet = [one for one in found if not one.image.anomalous]
    return {
        "images": len(found),
        "images_anomalous": int(anomalous.sum()),
        "masks_unknown": sum(one.mask is None for one in found),
        "image_auroc": metrics.auroc(anomalous, scores),
        "brightness_control": control,
        **_pixel_figures(found, with_map, curve=True),
        "at_rates": [_at_rate(found, calibration, rate) for rate in RATES],
        "good_parts_lit": _rate(sum(one.lit(calibration) for one in quiet), len(quiet)) if with_map else None,
        "decisions_on_good": _decisions(quiet),
        "defects": {
            defect: {
                "image_auroc": metrics.auroc(
                    *_against_good([one for one in found if one.image.defect in {GOOD, defect}])
                ),
                **_pixel_figures([one for one in found if one.image.defect in {GOOD, defect}], with_map),
                "decisions": _decisions([one for one in found if one.image.defect == defect]),
            }
            for defect in defects
        },
    }


def realised_of(
    scores: Floats, map_peaks: Floats | None, test: ScoresAndMaps, truth: Truth
) -> dict[str, list[dict[str, float | int | bool]]]:
    """Whether the promises of held-out scores and map peaks, (n,) each, hold on the good test images."""
    good = ~truth.anomalous
    found = {"realised": realised_rates(scores, test.scores[good])}
    if map_peaks is not None:
        found["realised_map"] = realised_rates(map_peaks, peaks(test)[good])
    return found


def peaks(judged: ScoresAndMaps) -> Floats:
    """The highest value of each map, (n,)."""
    highest: Floats = judged.maps.reshape(len(judged.maps), -1).max(axis=1)
    return highest


def _at_rate(found: Sequence[Evaluated], calibration: Calibration, rate: float) -> dict[str, object]:
    """What NG at that rate would do here: good parts rejected, and defective ones that are not, of each kind too."""
    threshold = calibration.thresholds(rate).ng
    passed = [one for one in found if one.image.anomalous and one.score <= threshold.value]
    bad = sum(one.image.anomalous for one in found)
    good = [one for one in found if not one.image.anomalous]
    return {
        "rate_asked": rate,
        "rate_promised": threshold.rate_promised,
        "threshold": threshold.value,
        "origin": threshold.origin,
        "rejected": _rate(sum(one.score > threshold.value for one in good), len(good)),
        "not_rejected": _rate(len(passed), bad),
        "not_rejected_by_defect": dict(sorted(Counter(one.image.defect for one in passed).items())),
    }


def _against_good(found: Sequence[Evaluated]) -> tuple[npt.NDArray[np.bool_], Floats]:
    return np.array([one.image.anomalous for one in found]), np.array([one.score for one in found], dtype=np.float32)


def _pixel_figures(found: Sequence[Evaluated], with_map: bool, *, curve: bool = False) -> dict[str, object]:
    known = [one for one in found if one.mask is not None] if with_map else []
    masks = [one.mask for one in known if one.mask is not None]
    empty: dict[str, object] = {"pixel_auroc": None, "pro": None}
    if not any(mask.any() for mask in masks):
        return {**empty, "pro_curve": None} if curve else empty
    maps = [one.map_at_mask() for one in known]
    overlap = metrics.pro_curve(masks, maps)
    figures: dict[str, object] = {"pixel_auroc": metrics.pixel_auroc(masks, maps), "pro": overlap.area}
    if curve:
        points = slice(None, None, PRO_POINT_EVERY)
        figures["pro_curve"] = [[round(float(x), 4) for x in part[points]] for part in overlap]
    return figures


def _decisions(found: Sequence[Evaluated]) -> dict[str, object]:
    decisions = [one.decision for one in found]
    rejected = len(decisions) - decisions.count("OK")
    return {
        **{decision: decisions.count(decision) for decision in ("OK", "REVIEW", "NG")},
        "ng_share": _rate(decisions.count("NG"), len(found)),
        "not_ok_share": _rate(rejected, len(found)),
    }


def _rate(count: int, total: int) -> dict[str, float]:
    found = metrics.rate(count, total)
    return {"count": count, "total": total, "share": found.share, "low_95": found.low, "high_95": found.high}
