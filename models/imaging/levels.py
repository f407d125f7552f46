"""Says whether a picture's grey levels lie far outside those of the pictures that a product was trained on.

A file never says where in its 16 bits the values of a 10 or 12-bit camera lie. A camera's software may save them times
16 (4095 becomes 65520) where the live picture is 0 to 4095: a product that was trained on one of the two sees the other
nearly black or nearly all white. Both look like pictures, so only a comparison with training tells.

Levels are compared as shares of white, so that 8-bit and 16-bit pictures of one product can be mixed. They are
not cut off at white: a share of 16 is what tells of a wrong white level.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Self

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.imaging.errors import ImageError
from models.imaging.samples import Pixels

FAR = 3.0  # times: below the 4 by which 14 bits lie apart in 16, above what lamps and parts do from picture to picture
FLOOR = 0.02  # shares of white below it count as equal: ratios of nearly nothing tell nothing
BRIGHTEST = 99.9  # percent: single hot pixels do not count
LOOKED_AT = 250_000  # pixels of one picture, in a regular grid


class Levels(NamedTuple):
    """Of one picture, in file units: its mean grey and the level that 99.9 % of its values stay below."""

    mean: float
    brightest: float

    def shares(self, white: float) -> Levels:
        """As shares of a white level."""
        return Levels(self.mean / white, self.brightest / white)


class LevelRange(BaseModel):
    """The lowest and highest levels among the training pictures, as shares of white; kept in the manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean_low: float = Field(ge=0, allow_inf_nan=False)
    mean_high: float = Field(ge=0, allow_inf_nan=False)
    brightest_low: float = Field(ge=0, allow_inf_nan=False)
    brightest_high: float = Field(ge=0, allow_inf_nan=False)

    def joined(self, other: LevelRange) -> LevelRange:
        """The range that holds both."""
        return LevelRange(
            mean_low=min(self.mean_low, other.mean_low),
            mean_high=max(self.mean_high, other.mean_high),
            brightest_low=min(self.brightest_low, other.brightest_low),
            brightest_high=max(self.brightest_high, other.brightest_high),
        )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.mean_low > self.mean_high or self.brightest_low > self.brightest_high:
            raise ValueError("the lowest level of the training pictures must not be above the highest")
        return self


def grid_step(width: int, height: int) -> int:
    """Every how many pixels, across and down, the levels of a picture of that size are looked at."""
    return max(1, int((width * height / LOOKED_AT) ** 0.5))


def measure_levels(pixels: Pixels) -> Levels:
    """RGB (H, W, 3) -> its levels in file units."""
    step = grid_step(pixels.shape[1], pixels.shape[0])
    seen = pixels[::step, ::step]
    if seen.dtype == np.uint8:
        return _counted_levels(seen)
    return Levels(float(seen.mean()), float(np.percentile(seen, BRIGHTEST)))


def _counted_levels(seen: Pixels) -> Levels:
    """The same to the bit from how often each of the 256 values is there: a fifteenth of the time."""
    rows = np.ascontiguousarray(seen, np.uint8).reshape(len(seen), -1)
    often = cv2.calcHist([rows], [0], None, [256], [0, 256]).ravel().astype(np.int64)  # exact up to 2^24 of each
    place = (rows.size - 1) * (BRIGHTEST / 100)
    lower, upper = np.searchsorted(often.cumsum(), [int(place), min(int(place) + 1, rows.size - 1)], "right").tolist()
    share, step = place - int(place), upper - lower
    brightest = lower + step * share if share < 0.5 else upper - step * (1 - share)  # as numpy rounds it
    return Levels(int(often @ np.arange(256)) / rows.size, brightest)


def white_of(pixels: Pixels, sixteen_bit_white: int) -> int:
    """The white level of a picture: 255, or the product's for 16 bits."""
    return 255 if pixels.dtype == np.uint8 else sixteen_bit_white


def collect_levels(shares: Iterable[Levels]) -> LevelRange:
    """Levels of each training picture, as shares of white -> their range. Raises ValueError for no picture."""
    table = np.array(list(shares), np.float64).reshape(-1, 2)
    if not len(table):
        raise ValueError("levels need at least one picture")
    low, high = table.min(axis=0).tolist(), table.max(axis=0).tolist()
    return LevelRange(mean_low=low[0], mean_high=high[0], brightest_low=low[1], brightest_high=high[1])


def check_levels(pixels: Pixels, sixteen_bit_white: int, trained: LevelRange, called: str = "the picture") -> None:
    """Raises image_level_unexpected where mean or brightest level is FAR times outside of those in training.

    `called` is what the picture is called in the error.
    """
    white = white_of(pixels, sixteen_bit_white)
    found = measure_levels(pixels).shares(white)
    for name, share, low, high in (
        ("brightest level", found.brightest, trained.brightest_low, trained.brightest_high),
        ("mean level", found.mean, trained.mean_low, trained.mean_high),
    ):
        times = max(share, FLOOR) / max(high, FLOOR) if share > high else max(low, FLOOR) / max(share, FLOOR)
        if times >= FAR:
            side = "above" if share > high else "below"
            raise ImageError(
                "image_level_unexpected",
                f"{called}'s {name} is {share * white:,.0f} of white {white:,}, {times:.1f} times {side} "
                f"what training saw ({low * white:,.0f} to {high * white:,.0f}). Check exposure, and whether "
                "the camera's bits are aligned as in the training pictures",
            )
