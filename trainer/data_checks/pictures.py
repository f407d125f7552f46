"""Training sets that teach nothing: most pictures black, flat, or the same pixels again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.imaging.decode import Pixels
from trainer.data_checks.result import CheckResult

BLACK = 0.02  # of white: nothing in a black picture is brighter
FLAT = 0.02  # of white: the values of a flat picture lie within
STRAY = 0.001  # share of the pixels at each end that may be dead or hot ones
MOST = 0.5  # share of the pictures; if more teach nothing, the set does not either
NAMED = 3  # pictures that a warning names


class PictureExtremes(NamedTuple):
    """What is measured of one picture before the set's white level is known; `digest` as in PictureFacts."""

    brightest: int
    widest: int  # of the channels' ranges of values
    digest: bytes

    def facts(self, white: int) -> PictureFacts:
        """`white` is the value of white: 255, or the product's white level for 16 bits."""
        return PictureFacts(self.brightest <= BLACK * white, self.widest <= FLAT * white, self.digest)


class PictureFacts(NamedTuple):
    """`black` and `flat` as the constants above say; `digest` is of the decoded pixels, whatever the file's bytes."""

    black: bool
    flat: bool
    digest: bytes


def picture_extremes(pixels: Pixels) -> PictureExtremes:
    """Extremes of (H, W, 3), or of all channels (H, W, N) of a part with groups."""
    levels = [_levels(pixels[..., channel]) for channel in range(pixels.shape[2])]
    digest = hashlib.sha256(f"{pixels.shape} {pixels.dtype.name}".encode() + pixels.tobytes()).digest()
    return PictureExtremes(max(high for _, high in levels), max(high - low for low, high in levels), digest)


def check_pictures(facts: Sequence[PictureFacts], names: Sequence[str]) -> CheckResult:
    """Facts of every picture of the set and how each is called -> the set's result.

    It is degenerate if more than half of the pictures are black, flat or repeat an earlier one pixel by pixel.
    """
    if len(facts) != len(names) or not facts:
        raise ValueError(f"each picture has facts and a name; got {len(facts)} and {len(names)}")
    seen: set[bytes] = set()
    black, flat, repeated = [], [], []
    for fact, name in zip(facts, names, strict=True):
        if fact.digest in seen:
            repeated.append(name)
        elif fact.black:
            black.append(name)
        elif fact.flat:
            flat.append(name)
        seen.add(fact.digest)
    total = len(facts)
    words = [
        _words(found, total, what)
        for found, what in (
            (black, f"are black (nothing above {BLACK:.0%} of white)"),
            (flat, f"are flat (all values within {FLAT:.0%} of white)"),
            (repeated, "repeat an earlier picture pixel by pixel"),
        )
        if found
    ]
    useless = len(black) + len(flat) + len(repeated)
    degenerate = useless > MOST * total
    if degenerate:
        words.append(
            f"{useless} of {total} pictures teach nothing: this set cannot be trained on as it is. Look at the camera, "
            "the light and the export of the pictures"
        )
    return CheckResult(degenerate, tuple(words))


def _levels(channel: npt.NDArray[np.unsignedinteger]) -> tuple[int, int]:
    """The lowest and the highest value of a channel, the STRAY share at each end left out."""
    below = np.cumsum(np.bincount(channel.ravel()))
    stray = int(STRAY * channel.size)
    low, high = np.searchsorted(below, [stray, channel.size - stray - 1], side="right")
    return int(low), int(high)


def _words(found: Sequence[str], total: int, what: str) -> str:
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return f"{len(found)} of {total} pictures {what}: {', '.join(found[:NAMED])}{more}"
