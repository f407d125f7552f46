"""Image files in, their input statistics out: what the artifact keeps of its calibration images' light and lens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from models.imaging.channels import group_pictures
from models.imaging.input_statistics import InputStatistics, collect, measure
from models.imaging.levels import LevelRange, collect_levels, measure_levels, white_of
from models.imaging.picture_views import PictureViews
from models.imaging.regions import Regions
from trainer.data import LIMITS, part_bytes, read_pixels
from trainer.training_set import TrainingSet


def measured_files(files: Sequence[Path], views: PictureViews) -> InputStatistics:
    """Each file is read, prepared as for the network, and measured. Raises ImageError."""
    prepared = (views.prepare_file(part_bytes(file), LIMITS) for file in files)
    return collect(measure(one.whole, one.width, one.height) for one in prepared)


def levels_inside(found: TrainingSet, white: int, regions: Regions | None) -> LevelRange:
    """The levels of all pictures, of what is looked at of them; `white` is the white level of 16 bits."""
    if regions is None:
        return found.levels(white)
    inside = (regions.filled(read_pixels(file, found.groups)) for file in found.files)
    return collect_levels(
        measure_levels(picture).shares(white_of(picture, white))
        for pixels in inside
        for picture in group_pictures(pixels, found.groups)
    )
