"""Reads the files that say which places are looked at: `--roi` and `--ignore`."""

from __future__ import annotations

from pathlib import Path

from models.imaging.errors import ImageError
from models.imaging.masks import Mask
from models.imaging.region_files import region_mask, regions_of
from models.imaging.regions import Regions, RegionsError
from trainer.data import LIMITS, DataError


def read_regions(roi: Path | None, ignore: Path | None) -> Regions | None:
    """The places inside `roi` and outside `ignore`; None where neither is given. Raises DataError."""
    inside, outside = _mask(roi), _mask(ignore)
    try:
        return regions_of(inside, outside)
    except RegionsError as error:
        raise DataError(f"{' and '.join(str(file) for file in (roi, ignore) if file)}: {error}") from error


def _mask(file: Path | None) -> Mask | None:
    if file is None:
        return None
    try:
        return region_mask(file.read_bytes(), LIMITS)
    except OSError as error:
        raise DataError(f"{file}: {error.strerror or error}") from error
    except (ImageError, RegionsError) as error:
        raise DataError(f"{file}: {error}") from error
