"""Cuts good parts into folds: what a fit to the others says of a fold is said of images that it has not seen."""

from __future__ import annotations

from typing import NamedTuple

import torch

from models.heads.base import GoodParts
from models.heads.parts.by_picture import ByPicture


class Fold(NamedTuple):
    """All images in two groups: those that are fitted to, and those that are judged."""

    seen: GoodParts
    unseen: GoodParts


def folds_of(parts: GoodParts, count: int, generator: torch.Generator) -> list[Fold]:
    """`count` folds at random, fewer where there are fewer pictures; each image is unseen in one of them.

    All copies of a picture are in the same fold.
    """
    pictures = ByPicture.of(parts)
    order = torch.randperm(pictures.count, generator=generator).tolist()
    unseen = [set(pictures.images(order[first::count])) for first in range(min(count, pictures.count))]
    return [
        Fold(parts.subset([index for index in range(parts.count) if index not in some]), parts.subset(sorted(some)))
        for some in unseen
    ]
