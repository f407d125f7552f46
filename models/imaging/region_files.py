"""Reads what a person says of the places that are looked at: mask pictures, or polygons in JSON.

{"width": W, "height": H, "polygons": [[[x, y], [x, y], [x, y], ...], ...]}, in pixels of the camera.
"""

from __future__ import annotations

import codecs
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pydantic_core

from models.imaging.errors import ImageError
from models.imaging.limits import ImageLimits
from models.imaging.masks import Mask, read_mask
from models.imaging.regions import Regions, RegionsError
from models.sizes import size_words

MOST_JSON_BYTES = 1 << 20
FURTHEST = (-65536, 131072)  # corners beyond are drawn there: a picture is smaller


def regions_of(roi: Mask | None, ignore: Mask | None) -> Regions | None:
    """The places inside `roi` and outside `ignore`; None where neither is given. Raises RegionsError."""
    if roi is not None and ignore is not None and roi.shape != ignore.shape:
        sizes = " and ".join(f"{mask.shape[1]} x {mask.shape[0]}" for mask in (roi, ignore))
        raise RegionsError(f"what is looked at and what is ignored are of two sizes: {sizes}")
    if ignore is None:
        return None if roi is None else Regions(roi)
    return Regions(~ignore if roi is None else roi & ~ignore)


def region_mask(data: bytes, limits: ImageLimits) -> Mask:
    """A file -> (H, W), true where it marks: in a picture what is above 0, of polygons the inside of any.

    Raises ImageError for a picture that cannot be read, RegionsError for polygons that are none.
    """
    data = data.removeprefix(codecs.BOM_UTF8)
    if data.lstrip()[:1] not in (b"{", b"["):
        return read_mask(data, limits)
    if len(data) > MOST_JSON_BYTES:
        raise RegionsError(f"{size_words(len(data))} of polygons; at most {size_words(MOST_JSON_BYTES)} are taken")
    try:
        document = pydantic_core.from_json(data)
    except ValueError as error:
        raise RegionsError(f"no JSON: {error}") from error
    return polygons_mask(document, limits)


def polygons_mask(document: Any, limits: ImageLimits) -> Mask:
    """The document of the module's text -> (H, W), true inside any polygon. Raises RegionsError."""
    members = document if isinstance(document, dict) else {}
    width, height, polygons = members.get("width"), members.get("height"), members.get("polygons")
    sizes = all(type(side) is int and 0 < side <= 65535 for side in (width, height))
    if set(members) != {"width", "height", "polygons"} or not sizes or not isinstance(polygons, list) or not polygons:
        raise RegionsError('polygons are {"width": W, "height": H, "polygons": [[[x, y], [x, y], ...], ...]}')
    assert isinstance(width, int)
    assert isinstance(height, int)
    try:
        limits.check_size(width, height)
    except ImageError as error:
        raise RegionsError(error.detail) from error
    drawn = np.zeros((height, width), np.uint8)
    for number, polygon in enumerate(polygons):
        corners = _corners(polygon)
        if corners is None:
            raise RegionsError(f"polygon {number}: at least three corners [x, y] in pixels are needed")
        if (corners.max(axis=0) < 0).any() or (corners.min(axis=0) >= (width, height)).any():
            raise RegionsError(f"polygon {number} lies outside the picture of {width} x {height} pixels")
        cv2.fillPoly(drawn, [np.rint(np.clip(corners, *FURTHEST)).astype(np.int32)], (1,))
    return drawn.astype(np.bool_)


def _corners(polygon: Any) -> npt.NDArray[np.float64] | None:
    """(n, 2), or None where these are no three pairs of numbers."""
    if not isinstance(polygon, list) or len(polygon) < 3:
        return None
    pairs = all(isinstance(corner, list) and len(corner) == 2 for corner in polygon)
    if not pairs or not all(type(value) in (int, float) for corner in polygon for value in corner):
        return None
    try:
        corners = np.array(polygon, np.float64)
    except OverflowError:
        return None
    return corners if np.isfinite(corners).all() else None
