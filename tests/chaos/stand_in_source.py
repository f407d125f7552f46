"""A source that costs next to nothing, so that a real service with real artifacts starts and judges fast."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from benchmarks.harness.stand_in_parts import SOURCE, activations_of
from models.backends.base import SourceBackend, SourceKey
from models.backends.pool import SourcePool
from models.backends.workload import Workload

KEY = SourceKey(SOURCE.name, "5" * 64, "source")


class StandInBackend:
    """See models.backends.base.SourceBackend: activations by averaging and a fixed mixing."""

    name = "stand-in"

    def activations(self, images: Tensor, taps: Collection[str] | None = None) -> dict[str, Tensor]:
        """See SourceBackend."""
        found = activations_of(images)
        return {tap: found[tap] for tap in SOURCE.wanted(taps)}


class StandInPool(SourcePool):
    """A pool whose only source is the stand-in; another one is refused as any source that is not at hand."""

    def __init__(self) -> None:
        super().__init__(torch.device("cpu"), backend="torch", threads=1)

    def _chosen(self, key: SourceKey, workload: Workload) -> SourceBackend:
        if key != KEY:
            raise ValueError(f"the stand-in is not {key.source} {key.sha256[:12]}")
        return StandInBackend()
