"""Small painted defects on large pictures, by their width in pixels.

The kinds come in shares of a picture's area, 0.1 % at least: on a board of 640 pixels that is a defect of 20. Here each
is painted on a piece of the picture that is PIECE times as wide as the defect, and the piece laid back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from models.imaging.decode import Pixels
from trainer.painted.paint import ALL_KINDS, Painted, paint
from trainer.painted.scene import Box, CannotPaint, Scene

PIECE = 12  # widths of the defect
SMALLEST_PIECE = 32  # pixels
WIDEST = 4.0  # times the smallest defect
TRIES = 5  # pieces that are tried, as a kind may not be seen on every one


def fine_set(
    pictures: Iterable[Pixels], per_picture: int, seed: int, smallest: float, kinds: Sequence[str] = tuple(ALL_KINDS)
) -> Iterator[Painted]:
    """`per_picture` defects on each picture, `smallest` to WIDEST times as many pixels wide; kinds take turns.

    A width is that of a disc of the mask's area, met within the tolerance of `paint`; each factor is as likely as any
    other. A kind that cannot be seen on a picture gives way to the next of its round. Depends on the pictures' order,
    on `seed` and on nothing else. Raises CannotPaint where no kind can be seen.
    """
    if per_picture < 1 or not kinds or smallest < 1:
        raise ValueError(
            "at least one defect a picture, of one kind and one pixel, is needed; "
            f"got {per_picture}, {kinds}, {smallest}"
        )
    for number, pixels in enumerate(pictures):
        scene = Scene(pixels)
        for place in range(per_picture):
            turn, first = divmod(number * per_picture + place, len(kinds))
            order = np.random.default_rng([seed, turn]).permutation(np.array(kinds)).tolist()
            random = np.random.default_rng([seed, number, place, 3])
            yield _first_that_can(scene, [*order[first:], *order[:first]], smallest, random)


def _first_that_can(scene: Scene, kinds: Sequence[str], smallest: float, random: np.random.Generator) -> Painted:
    for kind in kinds:
        for _ in range(TRIES):
            try:
                return _fine(scene, kind, smallest, random)
            except CannotPaint as error:
                reason = error
    raise reason


def _fine(scene: Scene, kind: str, smallest: float, random: np.random.Generator) -> Painted:
    width = smallest * float(np.exp(random.uniform(0, np.log(WIDEST))))
    side = max(SMALLEST_PIECE, round(PIECE * width))
    box = scene.around(*scene.place(random), side, side)
    share = np.pi / 4 * width**2 / (box.height * box.width)
    size = float(np.clip(share, ALL_KINDS[kind].least, ALL_KINDS[kind].most))
    found = paint(scene.pixels[box.slices].copy(), random, kind, size)
    return _laid_back(scene, box, found)


def _laid_back(scene: Scene, box: Box, found: Painted) -> Painted:
    pixels, mask = scene.pixels.copy(), np.zeros((scene.height, scene.width), dtype=bool)
    pixels[box.slices], mask[box.slices] = found.pixels, found.mask
    return found._replace(pixels=pixels, mask=mask, size_share=float(mask.mean()))
