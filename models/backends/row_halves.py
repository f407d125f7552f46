"""Cuts a picture that comes alone into halves of rows, so that two cores take the first layers without any exchange.

What two cores make of each layer together goes from cache to cache, layer by layer; where they do not share one, that
takes as long as it saves. A half is cut with as many further rows as the tap at the end of these layers looks beyond
its own, which are computed twice and dropped: each core has all that it needs, and every number is that of the whole.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from models.sources.network import SourceNetwork

MOST_FURTHER = 0.2  # rows of a half beyond its own, as a share of the picture's side; at 0.36 two thirds are saved work


class RowHalves(NamedTuple):
    """The first layers end at `tap`, of `stride`; a half has `further` rows beyond the middle of `size`."""

    tap: str
    stride: int
    further: int
    size: int

    @property
    def rows(self) -> tuple[slice, slice]:
        """Of the picture, upper and lower half."""
        middle = self.size // 2
        return slice(0, middle + self.further), slice(middle - self.further, self.size)

    def own(self, stride: int) -> tuple[slice, slice]:
        """Of a tap of that stride of each half, the rows that are right."""
        return slice(0, self.size // 2 // stride), slice(self.further // stride, None)


def row_halves(source: SourceNetwork, deepest: str, size: int) -> RowHalves | None:
    """The cut at the deepest tap up to `deepest` that needs few further rows; None where each needs too many."""
    found = None
    for name in source.spec.taps:
        stride = source.spec.taps[name].stride
        further = -(-reach(source, name) // stride) * stride
        if further <= MOST_FURTHER * size and size % (2 * stride) == 0:
            found = RowHalves(name, stride, further, size)
        if name == deepest:
            break
    return found


def reach(source: SourceNetwork, tap: str) -> int:
    """How many rows of the picture a place of that tap sees at most to each side of those that it stands for."""
    found, apart = 0, 1
    for layer in source.features[: source.tap_layers[tap] + 1].modules():
        if isinstance(layer, nn.Conv2d):
            found += layer.kernel_size[0] // 2 * apart
            apart *= layer.stride[0]
        elif isinstance(layer, nn.MaxPool2d):
            apart *= 2
    return found
