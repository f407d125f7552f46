"""Source activations in, one feature vector for each picture out: the mean over all places, each tap counting alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor


class PooledMeans:
    """Collects the means of batches as they go by."""

    def __init__(self, taps: Sequence[str]) -> None:
        self.taps = tuple(taps)
        self._means: dict[str, list[npt.NDArray[np.float32]]] = {tap: [] for tap in taps}

    def add(self, batch: Mapping[str, Tensor]) -> None:
        """Activations by tap, (B, C, h, w) each; others than `taps` are passed over."""
        for tap in self.taps:
            self._means[tap].append(batch[tap].float().mean(dim=(2, 3)).cpu().numpy())

    def features(self) -> npt.NDArray[np.float32]:
        """(n, sum of C): each tap's means divided by the root mean square of their length over the pictures."""
        parts = []
        for tap in self.taps:
            part = np.concatenate(self._means[tap])
            length = float(np.sqrt((part.astype(np.float64) ** 2).sum(axis=1).mean()))
            parts.append(part / max(length, 1e-12))
        return np.concatenate(parts, axis=1).astype(np.float32)
