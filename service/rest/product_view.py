"""How /products and the admin routes show what the registry knows of a product."""

from __future__ import annotations

from dataclasses import asdict

from models.calibration.conformal import Threshold
from service.products.product import ProductStatus, ProductVersion
from service.rest.product_schemas import ProductDetail, ProductSummary, RatedThreshold


def summary_of(status: ProductStatus) -> ProductSummary:
    """One row of /products."""
    return ProductSummary.model_validate(_members(status))


def detail_of(status: ProductStatus, version: ProductVersion | None) -> ProductDetail:
    """The page of one product; without a version (it cannot be served) only what the registry knows."""
    members = _members(status)
    if version is not None:
        calibration = version.calibration
        thresholds = calibration.thresholds()
        members |= {
            "image_size": version.preprocessing.image_size,
            "calibration_images": len(calibration.scores),
            "smallest_false_reject": calibration.smallest_rate,
            "smallest_fitted_false_reject": calibration.smallest_fitted_rate,
            "threshold": rated(thresholds.ng),
            "review_threshold": rated(thresholds.review) if thresholds.review is not None else None,
        }
    return ProductDetail.model_validate(members)


def _members(status: ProductStatus) -> dict[str, object]:
    return {**asdict(status), "versions": list(status.versions), "doubts": list(status.doubts)}


def rated(threshold: Threshold) -> RatedThreshold:
    """A threshold with the rate that was asked for and the one that is promised."""
    return RatedThreshold(**threshold._asdict())
