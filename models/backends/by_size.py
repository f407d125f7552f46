"""Runs each batch by the backend that is fastest for its size."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import Tensor

from models.backends.base import KeepsMemory, SourceBackend

# Batch sizes that are measured, and the largest batch that each of them stands for.
STANDS_UP_TO: Mapping[int, int] = {1: 2, 8: 16, 32: 1 << 30}
SIZES: tuple[int, ...] = tuple(STANDS_UP_TO)


class BySize:
    """Backends of one source by measured batch size, all of SIZES. See SourceBackend."""

    def __init__(self, backends: Mapping[int, SourceBackend]) -> None:
        self._backends = [(most, backends[size]) for size, most in STANDS_UP_TO.items()]

    @property
    def name(self) -> str:
        """The names of its backends, those for few images first."""
        return ", ".join(dict.fromkeys(backend.name for _, backend in self._backends))

    def give_back(self) -> None:
        """See KeepsMemory."""
        for _, backend in self._backends:
            if isinstance(backend, KeepsMemory):
                backend.give_back()

    def activations(self, images: Tensor, taps: Collection[str] | None = None) -> dict[str, Tensor]:
        """See SourceBackend."""
        backend = next(backend for most, backend in self._backends if len(images) <= most)
        return backend.activations(images, taps)
