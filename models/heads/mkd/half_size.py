"""The picture at half its size beside the picture: coarse defects are seen in the one, fine ones in the other.

A tap of the half-size picture is named like the source's, with /2 behind it: pool3/2. Its activations come from the
further source pass that a head may ask for (models.heads.base.Head.changed), over `halved` images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from torch import Tensor
from torch.nn import functional

from models.heads.base import ActivationBatch, GoodParts
from models.sources.registry import Activations, SourceSpec

HALF = "/2"


def half_of(tap: str) -> str:
    """The name of a source's tap at half the picture's size."""
    return tap + HALF


def is_half(tap: str) -> bool:
    """Whether a name is that of a tap at half the picture's size."""
    return tap.endswith(HALF)


def source_tap(tap: str) -> str:
    """The source's tap that a name is of, at either size."""
    return tap.removesuffix(HALF)


def halved(images: Tensor) -> Tensor:
    """(B, 3, S, S) -> (B, 3, S/2, S/2), each pixel the mean of four."""
    return functional.avg_pool2d(images, 2)


def with_half(activations: Activations, further: Activations | None) -> Activations:
    """Both sizes' activations in one, those of the half-size pictures under their own names."""
    return {**activations, **{half_of(tap): found for tap, found in (further or {}).items()}}


class BothSizes:
    """Good parts whose activations hold both sizes (see models.heads.base.GoodParts); one source pass makes them."""

    def __init__(self, whole: GoodParts, half: GoodParts) -> None:
        self._whole = whole
        self._half = half

    @classmethod
    def of(cls, parts: GoodParts) -> BothSizes:
        """The parts beside what the source says of them at half their size."""
        return cls(parts, parts.changed(lambda images, _activations: halved(images)))

    @property
    def count(self) -> int:
        """See GoodParts."""
        return self._whole.count

    @property
    def picture_numbers(self) -> Sequence[int]:
        """See GoodParts."""
        return self._whole.picture_numbers

    @property
    def image_size(self) -> int:
        """See GoodParts."""
        return self._whole.image_size

    @property
    def source(self) -> SourceSpec:
        """See GoodParts."""
        return self._whole.source

    def batch(self, indices: Sequence[int]) -> ActivationBatch:
        """See GoodParts."""
        return _joined(self._whole.batch(indices), self._half.batch(indices))

    def batches(self, size: int = 16, seed: int | None = None) -> Iterator[ActivationBatch]:
        """See GoodParts. Both are read in the same order."""
        pairs: Iterable[tuple[ActivationBatch, ActivationBatch]] = zip(
            self._whole.batches(size, seed), self._half.batches(size, seed), strict=True
        )
        return (_joined(whole, half) for whole, half in pairs)

    def rms(self) -> dict[str, float]:
        """See GoodParts: of the picture, which serves both sizes."""
        return self._whole.rms()

    def subset(self, indices: Sequence[int]) -> BothSizes:
        """See GoodParts."""
        return BothSizes(self._whole.subset(indices), self._half.subset(indices))

    def changed(self, change: Callable[[Tensor, Activations], Tensor]) -> GoodParts:
        """See GoodParts: the whole pictures changed, at their one size."""
        return self._whole.changed(change)


def _joined(whole: ActivationBatch, half: ActivationBatch) -> ActivationBatch:
    return whole[0], with_half(whole[1], half[1])
