"""A picture of a good part in, the same picture with one made-up defect and its mask out: for any product.

The painters know nothing of real defects, and no labelled set was used to choose them or their ranges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.imaging.decode import Pixels
from trainer.painted.change import Change, Wish
from trainer.painted.kinds import KINDS, Kind
from trainer.painted.own_kinds import OWN_KINDS
from trainer.painted.scene import CannotPaint, Scene

Mask = npt.NDArray[np.bool_]
SIZES = (0.001, 0.1)  # shares of the picture's area
LEAST_PIXELS = 4  # of a defect, where 0.1 % of a small picture would be less
CONTRASTS = (0.05, 0.5)  # shares of white; drawn so that each factor is as likely as any other
ABOVE_NOISE = 2.0  # a drawn contrast is at least so many standard deviations of the picture's own noise
VISIBLE = 0.02  # of white: a pixel that changes less is no part of the defect
LEAST_CONTRAST = 0.03  # mean change over the mask below which nobody would see the defect
SIZE_TOLERANCE = 1.6  # a defect may come out larger or smaller than wished by this factor
TRIES = 10
ALL_KINDS: Mapping[str, Kind] = {**KINDS, **OWN_KINDS}


class Painted(NamedTuple):
    """`pixels` as the picture's, with a defect where `mask` (H, W) is True: every visible change, and nothing else.

    `kind` is of ALL_KINDS, `size_share` the mask's share of the picture, `contrast` the mean over the mask of the
    largest change among the channels, in shares of white.
    """

    pixels: Pixels
    mask: Mask
    kind: str
    size_share: float
    contrast: float


def paint(
    pixels: Pixels,
    random: np.random.Generator,
    kind: str | None = None,
    size: float | None = None,
    *,
    others: Sequence[Pixels] = (),
) -> Painted:
    """One defect on (H, W, 3) of 8 or 16 bits, which stay as they are; same generator, same defect.

    `kind` of ALL_KINDS and `size`, a share of the picture's area, are drawn where they are not given; `others` are
    further good pictures of the product, whose pieces may serve as foreign texture. A grey picture stays grey. Without
    `kind` one of KINDS is drawn, and one that cannot be seen on this picture (a blur on a flat one) gives way to
    another. Raises CannotPaint where the asked one cannot be seen, ValueError for an unknown kind or a size that it
    does not come in.
    """
    if kind is not None and kind not in ALL_KINDS:
        raise ValueError(f"no defect is called {kind!r}; the kinds are {', '.join(ALL_KINDS)}")
    scene = Scene(pixels, others)
    names = [kind] if kind is not None else [name for name in KINDS if _fits(scene, name, size)]
    if size is not None and not (names and _fits(scene, names[0], size)):
        low, high = _range(scene, kind) if kind else (_least(scene), SIZES[1])
        raise ValueError(
            f"a size of {size:g} is asked; {kind or 'a defect'} on {scene.width} x {scene.height} pixels comes in "
            f"{low:.3g} to {high:.3g} of the picture's area"
        )
    for name in random.permutation(names).tolist():
        found = _painted(scene, name, size, random)
        if found is not None:
            return found
    raise CannotPaint(
        f"{' or '.join(names)} cannot be seen on this picture: in {TRIES} tries nothing changed by the size asked"
    )


def _least(scene: Scene) -> float:
    return float(max(SIZES[0], LEAST_PIXELS / (scene.height * scene.width)))


def _range(scene: Scene, kind: str) -> tuple[float, float]:
    """Least and largest size of that kind on that picture: tiny pictures have no room for the finest."""
    low = max(ALL_KINDS[kind].least, _least(scene))
    return low, max(ALL_KINDS[kind].most, min(2 * low, SIZES[1]))


def _fits(scene: Scene, kind: str, size: float | None) -> bool:
    low, high = _range(scene, kind)
    return size is None or low <= size <= high


def _painted(scene: Scene, kind: str, size: float | None, random: np.random.Generator) -> Painted | None:
    low, high = _range(scene, kind)
    wished = size or _between(low, high, random)
    floor = min(max(CONTRASTS[0], ABOVE_NOISE * scene.noise), CONTRASTS[1])
    asked = wished
    for _ in range(TRIES):
        wish = Wish(asked * scene.height * scene.width, _between(floor, CONTRASTS[1], random))
        found = _finished(scene, kind, ALL_KINDS[kind].painter(scene, wish, random))
        off = found.size_share / wished
        right = 1 / SIZE_TOLERANCE <= off <= SIZE_TOLERANCE and _least(scene) <= found.size_share <= SIZES[1]
        if right and found.contrast >= LEAST_CONTRAST:
            return found
        asked = float(np.clip(asked / np.clip(off, 0.5, 1.5), 1e-5, 2 * wished))
    return None


def _finished(scene: Scene, kind: str, change: Change) -> Painted:
    """The change laid into the picture, no stronger than its kind is, with its mask and figures."""
    old = scene.window(change.box)
    new = np.clip(change.picture, 0, 1)
    largest = np.abs(new - old).max(axis=2)
    seen = largest >= VISIBLE
    strongest = ALL_KINDS[kind].strongest
    if seen.any() and largest[seen].mean() > strongest:
        new = old + (new - old) * (strongest / largest[seen].mean())
    pixels, mask = scene.pixels.copy(), np.zeros((scene.height, scene.width), dtype=bool)
    pixels[change.box.slices] = np.rint(new * scene.white).astype(pixels.dtype)
    before, after = scene.pixels[change.box.slices], pixels[change.box.slices]
    steps = np.abs(after.astype(np.int32) - before.astype(np.int32)).max(axis=2)
    mask[change.box.slices] = inside = steps >= VISIBLE * scene.white
    contrast = float(steps[inside].mean() / scene.white) if inside.any() else 0.0
    return Painted(pixels, mask, kind, float(mask.mean()), contrast)


def _between(low: float, high: float, random: np.random.Generator) -> float:
    """A value that is as likely in each factor of the range."""
    return float(np.exp(random.uniform(np.log(low), np.log(high))))
