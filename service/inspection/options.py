"""What a request asks of its images, and the thresholds that follow from it."""

from __future__ import annotations

from dataclasses import dataclass

from models.calibration.conformal import Calibration, Thresholds
from models.imaging.map_picture import OverlayStyle
from service.errors import RateNotPromised


@dataclass(frozen=True)
class PictureOptions:
    """Which pictures are made beside the map and its regions."""

    overlay: OverlayStyle | None = None
    mask: bool = False


@dataclass(frozen=True)
class InspectionOptions:
    """`max_false_reject` is the share of good parts called NG at most, None for the stored thresholds.

    `review` False decides between OK and NG only; `pictures` None makes neither map nor pictures.
    """

    max_false_reject: float | None = None
    review: bool = True
    pictures: PictureOptions | None = None


def choose_thresholds(calibration: Calibration, options: InspectionOptions) -> Thresholds:
    """The stored thresholds, or those of the rate asked for; raises RateNotPromised for one that is too small."""
    rate = options.max_false_reject
    fitted = calibration.smallest_fitted_rate
    smallest = calibration.smallest_rate if fitted is None else fitted
    if rate is not None and rate < smallest:
        more = f", and none under {fitted:.3g} fitted" if fitted is not None else ""
        raise RateNotPromised(
            f"max_false_reject {rate:g}: with {len(calibration.scores)} calibration images no rate under "
            f"{calibration.smallest_rate:.3g} can be promised{more}"
        )
    return calibration.thresholds(rate, review=options.review)
