"""How loud SimpleNet's noise should be for the features of this product, read off good parts that are set aside.

    noise = SHARE * (usual distance of a patch set aside to the nearest other patch) / sqrt(channels)

With SHARE 1 noise leads as far away from good patches as unseen good ones lie anyway. Quieter noise cannot be told from
good parts, much louder noise is told from them by anything.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from models.heads.parts.by_picture import ByPicture
from models.heads.parts.nearest import Bank, nearest

SHARE = 2.0  # by painted defects on two sets, of 0.5, 1, 2 and 4; see the README
ASIDE = 0.2  # of the pictures
MOST_PATCHES = 4096  # of either side
LEAST = 1e-3  # parts that are all alike must not leave no noise


def usual_noise(features: Tensor, pictures: ByPicture, generator: torch.Generator) -> float:
    """Features (images, places, C) of at least two pictures -> the standard deviation."""
    order = torch.randperm(pictures.count, generator=generator).tolist()
    aside = max(1, int(ASIDE * pictures.count))
    unseen, seen = (
        _drawn(features[pictures.images(some)].flatten(0, 1), generator) for some in (order[:aside], order[aside:])
    )
    distances, _ = nearest(unseen, Bank.of(seen))
    return max(LEAST, SHARE * float(distances.median()) / math.sqrt(features.shape[-1]))


def _drawn(vectors: Tensor, generator: torch.Generator) -> Tensor:
    return vectors[torch.randperm(len(vectors), generator=generator)[:MOST_PATCHES].to(vectors.device)]
