"""Reads what a person says of the places that are looked at: a mask picture, or polygons in JSON."""

from __future__ import annotations

import json
from pathlib import Path

from models.imaging.errors import ImageError
from models.imaging.masks import Mask, read_mask
from models.imaging.regions import Regions, RegionsError, polygons_mask
from trainer.data import LIMITS, DataError


def read_regions(roi: Path | None, ignore: Path | None) -> Regions | None:
    """The places inside `roi` and outside `ignore`; None where neither is given. Raises DataError."""
    if roi is None and ignore is None:
        return None
    inside, outside = _mask(roi), _mask(ignore)
    if inside is not None and outside is not None and inside.shape != outside.shape:
        sizes = " and ".join(f"{mask.shape[1]} x {mask.shape[0]}" for mask in (inside, outside))
        raise DataError(f"{roi} and {ignore} are of two sizes: {sizes}")
    try:
        if outside is None:
            assert inside is not None
            return Regions(inside)
        return Regions(~outside if inside is None else inside & ~outside)
    except RegionsError as error:
        raise DataError(f"{roi or ignore}: {error}") from error


def _mask(file: Path | None) -> Mask | None:
    if file is None:
        return None
    try:
        if file.suffix.lower() == ".json":
            return polygons_mask(json.loads(file.read_text(encoding="utf-8")))
        return read_mask(file.read_bytes(), LIMITS)
    except OSError as error:
        raise DataError(f"{file}: {error.strerror or error}") from error
    except (ImageError, RegionsError, ValueError) as error:
        raise DataError(f"{file}: {error}") from error
