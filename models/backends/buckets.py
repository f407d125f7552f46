"""Cuts a batch into a few fixed batch sizes, as a captured graph runs one size only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

BUCKETS: tuple[int, ...] = (1, 2, 4, 8, 16, 32)


class Filling(NamedTuple):
    """Rows `start` to `stop` of a batch go through the graph of `bucket` images; what is left of it is padding."""

    start: int
    stop: int
    bucket: int


class Buckets:
    """A few batch sizes. Every batch is cut into them, so nothing is captured or compiled in traffic for a new size."""

    def __init__(self, sizes: Sequence[int] = BUCKETS) -> None:
        self.sizes = tuple(sorted(set(sizes)))
        if not self.sizes or self.sizes[0] < 1:
            raise ValueError(f"buckets are positive numbers of images, not {tuple(sizes)}")

    def fill(self, images: int) -> Iterator[Filling]:
        """Largest buckets first; the rest goes into the smallest that holds it."""
        largest, start = self.sizes[-1], 0
        while start < images:
            count = min(images - start, largest)
            bucket = next(size for size in self.sizes if size >= count)
            yield Filling(start, start + count, bucket)
            start += count
