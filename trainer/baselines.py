"""The source's activations of good images in, scores and maps of others by simple means out: no training.

What anyone could have for free, so that a study shows what the cloner adds.

- pooled: an image's tap averaged over its places; distance to the 2 nearest training images (Bergman, Cohen and
  Hoshen, "Deep Nearest Neighbor Anomaly Detection", 2020).
- patch: pool2, pool3 and pool4, each averaged over 3x3 places and brought to pool3's grid; distance of every place to
  the nearest of a random bank of training places, the largest being the image's (after Roth et al., "Towards Total
  Recall in Industrial Anomaly Detection", 2022, with a random bank in place of a coreset).
- distances: the default recipe with a cloner that answers zero: the same windows, whitening and map on the source's
  activations instead of the cloner's errors.
- brightness: mean brightness, and its distance from the training images' mean: the control that knows nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor
from torch.nn import functional

from models.heads.base import to_device
from models.heads.mkd.fit import MkdTrainee
from models.heads.parts.maps import smooth
from models.sources.registry import Activations
from trainer.activations import ActivationStore
from trainer.calibrate import Judged, judge_stored
from trainer.config import RECIPES

NEIGHBOURS = 2
BANK = 5000  # places kept of the training images
PATCH_TAPS = ("pool2", "pool3", "pool4")
GRID_TAP = "pool3"
BASELINES = ("brightness", "brightness-distance", "pooled-pool4", "pooled-pool5", "patch", "distances")
WITH_MAP = ("patch", "distances")


def judge_baseline(
    name: str,
    store: ActivationStore,
    training: Sequence[int],
    held_out: Sequence[int],
    indices: Sequence[int],
    device: torch.device,
    seed: int,
) -> Judged:
    """Judges the stored images of `indices` by those of `training`. See `has_map`; other maps are all zero.

    Held-out images give "distances" its scales, as they do in training.
    """
    if name == "patch":
        return _patch(store, training, indices, device, seed)
    if name == "distances":
        return _distances(store, training, held_out, indices, device)
    if name.startswith("pooled-"):
        tap = name.removeprefix("pooled-")
        search = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(training)))
        search.fit(_pooled(store, training, tap, device))
        distances, _ = search.kneighbors(_pooled(store, indices, tap, device))
        return _without_maps(distances.mean(axis=1))
    light = store.brightness(indices)
    if name == "brightness":
        return _without_maps(light)
    if name == "brightness-distance":
        return _without_maps(np.abs(light - store.brightness(training).mean()))
    raise ValueError(f"there is no baseline {name!r}")


def has_map(name: str) -> bool:
    """Whether a baseline says where, too."""
    return name in WITH_MAP


def _without_maps(scores: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Judged:
    return Judged(scores.astype(np.float32), np.zeros((len(scores), 1, 1), np.float32))


def _pooled(
    store: ActivationStore, indices: Sequence[int], tap: str, device: torch.device
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    parts = [taps[tap].mean(dim=(2, 3)).cpu() for _, taps in store.batches(indices, device)]
    return np.asarray(torch.cat(parts).numpy(), dtype=np.float32)


@torch.no_grad()
def _distances(
    store: ActivationStore,
    training: Sequence[int],
    held_out: Sequence[int],
    indices: Sequence[int],
    device: torch.device,
) -> Judged:
    trainee = MkdTrainee(RECIPES["default"], store.rms(training)).to(device).eval()
    for parameter in trainee.cloner.parameters():
        parameter.zero_()
    head = trainee.finish(store.batches(training, device), store.batches(held_out, device))
    return judge_stored(to_device(head, device), store, indices, device)


def _patch(
    store: ActivationStore, training: Sequence[int], indices: Sequence[int], device: torch.device, seed: int
) -> Judged:
    scales = store.rms(training)
    bank = torch.cat(list(_bank_parts(store, training, scales, device, seed)))
    scores, maps = [], []
    for images, taps in store.batches(indices, device):
        places = _places(taps, scales)
        batch, height, width, channels = places.shape
        nearest = torch.cdist(places.reshape(-1, channels), bank).min(dim=1).values.view(batch, 1, height, width)
        full = functional.interpolate(nearest, size=images.shape[-2:], mode="bilinear", align_corners=False)
        scores.append(nearest.amax(dim=(1, 2, 3)).cpu().numpy())
        maps.append(smooth(full[:, 0]).cpu().numpy())
    return Judged(np.concatenate(scores), np.concatenate(maps))


def _bank_parts(
    store: ActivationStore, training: Sequence[int], scales: dict[str, float], device: torch.device, seed: int
) -> Iterator[Tensor]:
    """Some places of every training image, BANK in all or a few less."""
    random = np.random.default_rng(seed)
    each = max(1, BANK // len(training))
    for _, taps in store.batches(training, device):
        for image in _places(taps, scales).flatten(1, 2):
            yield image[torch.from_numpy(random.permutation(len(image))[:each])]


def _places(taps: Activations, scales: dict[str, float]) -> Tensor:
    """(B, h, w, C): the taps of PATCH_TAPS on GRID_TAP's grid, each averaged over its neighbourhood."""
    grid = (taps[GRID_TAP].shape[-2], taps[GRID_TAP].shape[-1])
    parts = []
    for tap in PATCH_TAPS:
        around = functional.avg_pool2d(taps[tap] / scales[tap], 3, stride=1, padding=1, count_include_pad=False)
        if around.shape[-2] > grid[0]:
            around = functional.adaptive_avg_pool2d(around, grid)
        elif around.shape[-2] < grid[0]:
            around = functional.interpolate(around, size=grid, mode="bilinear", align_corners=False)
        parts.append(around)
    return torch.cat(parts, dim=1).permute(0, 2, 3, 1)
