"""Input statistics of the pictures of confirmed parts, so that drift is watched from the light that they came by."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.image_judge import ImageJudge
from models.imaging.decode import ImageError, ImageLimits
from models.imaging.input_statistics import STATISTICS, InputStatistics, collect, measure

FEWEST = 10  # pictures under which nothing is said of them
RANGES = ("aspect", "size")  # what the artifact has seen before, it has seen


def measured(data: bytes, judge: ImageJudge, limits: ImageLimits) -> npt.NDArray[np.float64] | None:
    """The statistics of one picture; None where it cannot be read any more."""
    try:
        image = judge.prepare_file(data, limits)
    except ImageError:
        return None
    return measure(image.whole, image.width, image.height)


def renewed(old: InputStatistics | None, rows: list[npt.NDArray[np.float64]]) -> InputStatistics | None:
    """The statistics of these pictures; the old ones where they are few or the artifact never had any.

    A size that was known stays known: the ends of the old ranges of size and aspect replace those of the new ones where
    they lie further out.
    """
    if old is None or len(rows) < FEWEST or not old.values.keys() >= STATISTICS.keys():
        return old
    values = dict(collect(rows).values)
    for name in RANGES:
        known, new = old.values[name], values[name]
        values[name] = (min(known[0], new[0]), *new[1:-1], max(known[-1], new[-1]))
    return InputStatistics(values=values)
