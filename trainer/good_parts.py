"""Good parts as a method sees them (models.heads.base.GoodParts): some images of an activation store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.heads.base import ActivationBatch
from models.sources.registry import Activations, SourceSpec
from trainer.activations import SOURCE_BATCH, ActivationStore


class StoredParts:
    """See GoodParts. Stores of changed images live until `opened` is closed.

    `picture_numbers` are those of the indices; None where no image is a copy of another.
    """

    def __init__(
        self,
        store: ActivationStore,
        indices: Sequence[int],
        device: torch.device,
        opened: ExitStack,
        picture_numbers: Sequence[int] | None = None,
    ) -> None:
        self._store = store
        self._indices = np.asarray(indices, dtype=np.int64)
        self._numbers = range(len(indices)) if picture_numbers is None else picture_numbers
        self._device = device
        self._opened = opened

    @property
    def count(self) -> int:
        """See GoodParts."""
        return len(self._indices)

    @property
    def picture_numbers(self) -> Sequence[int]:
        """See GoodParts."""
        return self._numbers

    @property
    def image_size(self) -> int:
        """See GoodParts."""
        return self._store.size

    @property
    def taps(self) -> tuple[str, ...]:
        """Those whose activations are kept."""
        return self._store.taps

    @property
    def source(self) -> SourceSpec:
        """See GoodParts."""
        return self._store.source

    def batch(self, indices: Sequence[int]) -> ActivationBatch:
        """See GoodParts."""
        return self._store.batch(self._indices[list(indices)].tolist(), self._device)

    def batches(self, size: int = SOURCE_BATCH, seed: int | None = None) -> Iterator[ActivationBatch]:
        """See GoodParts."""
        order = self._indices if seed is None else np.random.default_rng(seed).permutation(self._indices)
        return self._store.batches(order.tolist(), self._device, size)

    def rms(self) -> dict[str, float]:
        """See GoodParts."""
        return self._store.rms(self._indices.tolist())

    def subset(self, indices: Sequence[int], opened: ExitStack | None = None) -> StoredParts:
        """See GoodParts. With `opened`, stores of their changed images live until that is closed."""
        numbers = [self._numbers[index] for index in indices]
        opened = self._opened if opened is None else opened
        return StoredParts(self._store, self._indices[list(indices)].tolist(), self._device, opened, numbers)

    def changed(self, change: Callable[[Tensor, Activations], Tensor]) -> StoredParts:
        """See GoodParts."""
        old = self._store
        images = self._changed_images(change)
        first = next(images)
        size = first.shape[-1]
        whole = [tap for tap in old.taps if size % old.source.taps[tap].stride == 0]  # a smaller picture may lack some
        new = self._opened.enter_context(
            ActivationStore(
                *(self.count, size, old.backend, old.source, whole),
                folder=old.folder,
                limit_bytes=old.limit_bytes,
            )
        )
        new.fill(chain([first], images))
        return StoredParts(new, range(self.count), self._device, self._opened, self._numbers)

    def _changed_images(self, change: Callable[[Tensor, Activations], Tensor]) -> Iterator[npt.NDArray[np.float32]]:
        for images, activations in self.batches():
            yield from change(images, activations).cpu().contiguous().numpy()
