"""Controls of a study: scores that anyone has for free, so that the table shows what a method adds.

- pooled-TAP: an image's tap averaged over its places; distance to the 2 nearest training images (Bergman, Cohen and
  Hoshen, "Deep Nearest Neighbor Anomaly Detection", 2020).
- brightness, brightness-distance: mean brightness, and its distance from the training images' mean: they know nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from sklearn.neighbors import NearestNeighbors

from trainer.activations import ActivationStore

NEIGHBOURS = 2
POOLED = "pooled-"
CONTROLS = ("brightness", "brightness-distance", "pooled-pool4", "pooled-pool5")
Floats = npt.NDArray[np.float32]


def control_scores(
    name: str, store: ActivationStore, training: Sequence[int], indices: Sequence[int], device: torch.device
) -> Floats:
    """Scores (n,) of the stored images of `indices` by those of `training`; a control has no map."""
    if name.startswith(POOLED):
        tap = name.removeprefix(POOLED)
        search = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(training)))
        search.fit(_pooled(store, training, tap, device))
        distances, _ = search.kneighbors(_pooled(store, indices, tap, device))
        return np.asarray(distances.mean(axis=1), dtype=np.float32)
    light = store.brightness(indices)
    if name == "brightness-distance":
        light = np.abs(light - store.brightness(training).mean())
    return np.asarray(light, dtype=np.float32)


def _pooled(store: ActivationStore, indices: Sequence[int], tap: str, device: torch.device) -> Floats:
    parts = [taps[tap].mean(dim=(2, 3)).cpu() for _, taps in store.batches(indices, device)]
    return np.asarray(torch.cat(parts).numpy(), dtype=np.float32)
