"""Many painted defects on the good pictures of a product, the same ones in every run of one seed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from models.imaging.decode import Pixels
from trainer.painted.kinds import KINDS
from trainer.painted.paint import Painted, paint
from trainer.painted.scene import CannotPaint

OTHERS = 3  # good pictures before each one, whose pieces may serve as foreign texture
PLAIN_KINDS = ("doubled", "grain", "hole", "patch", "spot", "texture")
PLAIN_SIZE = (0.02, 0.08)  # shares of the picture's area
PLAIN_CHOICE = 6  # defects painted, of which the one with the most contrast is kept


def painted_set(
    pictures: Iterable[Pixels], per_picture: int, seed: int, kinds: Sequence[str] = tuple(KINDS)
) -> Iterator[Painted]:
    """`per_picture` defects on each picture, picture by picture; all kinds occur equally often, in shuffled rounds.

    Pictures are read as they are needed. A kind that cannot be seen on a picture gives way to the next of its round.
    Depends on the pictures' order, on `seed` and on nothing else. Raises CannotPaint where no kind can be seen.
    """
    if per_picture < 1 or not kinds:
        raise ValueError(f"at least one defect a picture of at least one kind is needed; got {per_picture}, {kinds}")
    seen: deque[Pixels] = deque(maxlen=OTHERS)
    for number, pixels in enumerate(pictures):
        for place in range(per_picture):
            turn, first = divmod(number * per_picture + place, len(kinds))
            order = np.random.default_rng([seed, turn]).permutation(np.array(kinds)).tolist()
            random = np.random.default_rng([seed, number, place, 1])
            yield _first_that_can(pixels, random, [*order[first:], *order[:first]], seen)
        seen.append(pixels)


def _first_that_can(
    pixels: Pixels, random: np.random.Generator, kinds: Sequence[str], others: Iterable[Pixels]
) -> Painted:
    for kind in kinds:
        try:
            return paint(pixels, random, kind, others=tuple(others))
        except CannotPaint as error:
            reason = error
    raise reason


def plain_defects(pictures: Iterable[Pixels], seed: int) -> Iterator[Painted]:
    """One defect on each picture that nobody would miss: 2 to 8 % of it, the one with the most contrast of a few.

    For golden checks: a head that does not see these sees nothing. The hole is smaller where its kind is.
    """
    for number, pixels in enumerate(pictures):
        random = np.random.default_rng([seed, number, 2])
        found = []
        for kind in random.choice(PLAIN_KINDS, PLAIN_CHOICE, replace=False).tolist():
            size = min(random.uniform(*PLAIN_SIZE), KINDS[kind].most)
            try:
                found.append(paint(pixels, random, kind, size))
            except CannotPaint:
                continue  # a doubled piece on a flat picture; spots and patches are seen on every one
        if not found:
            raise CannotPaint(f"no plain defect can be seen on picture {number}")
        yield max(found, key=lambda painted: painted.contrast)
