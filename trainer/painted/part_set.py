"""Painted defects on the parts of a product: on its pictures, or on one group of channels of each part.

A defect that one light alone shows is the one that is easily missed, so groups take turns and the others stay as they
are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from models.imaging.channels import ChannelGroup, group_picture, put_group
from models.imaging.decode import Pixels
from trainer.painted.paint import Painted
from trainer.painted.painted_set import painted_set, plain_defects


class PaintedPart(NamedTuple):
    """`pixels` of the whole part with the defect; `defect` is the painted picture of the group that has it."""

    pixels: Pixels
    defect: Painted


def painted_parts(
    parts: Iterable[Pixels], groups: Sequence[ChannelGroup], per_part: int, seed: int
) -> Iterator[PaintedPart]:
    """`painted_set` on parts (H, W, N): `per_part` defects on the picture of one group of each."""
    yield from _painted(parts, groups, per_part, lambda pictures: painted_set(pictures, per_part, seed))


def plain_on_parts(parts: Iterable[Pixels], groups: Sequence[ChannelGroup], seed: int) -> Iterator[PaintedPart]:
    """`plain_defects` on parts (H, W, N)."""
    yield from _painted(parts, groups, 1, lambda pictures: plain_defects(pictures, seed))


def _painted(
    parts: Iterable[Pixels],
    groups: Sequence[ChannelGroup],
    each: int,
    paint: Callable[[Iterator[Pixels]], Iterator[Painted]],
) -> Iterator[PaintedPart]:
    shown: list[Pixels] = []  # the part that is painted on: pictures are taken one by one

    def pictures() -> Iterator[Pixels]:
        for number, pixels in enumerate(parts):
            shown[:] = [pixels]
            yield group_picture(pixels, groups, _turn(number, groups))

    for count, defect in enumerate(paint(pictures())):
        whole = shown[0].copy()
        put_group(whole, groups, _turn(count // each, groups), defect.pixels)
        yield PaintedPart(whole, defect)


def _turn(number: int, groups: Sequence[ChannelGroup]) -> int:
    return number % max(1, len(groups))
