"""Source activations in, one feature vector for each picture out: the mean over all places, each tap counting alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor


def pooled_features(batches: Iterable[Mapping[str, Tensor]], taps: Sequence[str]) -> npt.NDArray[np.float32]:
    """Batches of activations by tap, (B, C, h, w) each -> (n, sum of C).

    Each tap's means are divided by the root mean square of their length over the pictures.
    """
    means: dict[str, list[npt.NDArray[np.float32]]] = {tap: [] for tap in taps}
    for batch in batches:
        for tap in taps:
            means[tap].append(batch[tap].float().mean(dim=(2, 3)).cpu().numpy())
    parts = []
    for tap in taps:
        part = np.concatenate(means[tap])
        length = float(np.sqrt((part.astype(np.float64) ** 2).sum(axis=1).mean()))
        parts.append(part / max(length, 1e-12))
    return np.concatenate(parts, axis=1).astype(np.float32)
