"""Fits a Gaussian of feature vectors at every place, as much the place's own as good images can tell.

    C_p = (1 - a) S_p + a S + e l I     S_p: covariance at place p, S: mean over all places, l: mean of S's diagonal

a and e are those under which images set aside are likeliest. Many images of parts that lie still end at a covariance
for each place; a few images, textures and parts that lie freely end near one covariance for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from models.heads.parts.by_picture import ByPicture
from models.heads.parts.gaussians import negative_log_likelihood, whitening_factor

SHARES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)  # a
REGULARISATIONS = (0.003, 0.01, 0.03, 0.1, 0.3)  # e
ASIDE = 0.2  # of the pictures, on which a and e are compared
FEWEST = 8  # pictures for a comparison; fewer get the last of both
COMPARED = 24  # places
CHUNK = 64  # places at a time
LEAST_VARIANCE = 1e-8  # of any direction, so that the factor fits half precision where parts are all alike


class PlaceFit(NamedTuple):
    """`factor` (P, D, D): |(v - mean) factor|^2 is v's squared Mahalanobis distance. a and e as taken."""

    factor: Tensor
    shared: float
    regularisation: float


class PlaceGaussians:
    """Vectors (B, P, D) of good images, added batch by batch and kept in half precision, then `fitted`."""

    def __init__(self) -> None:
        self._batches: list[Tensor] = []

    def add(self, vectors: Tensor) -> None:
        """(B, P, D)."""
        self._batches.append(vectors.detach().cpu().half())

    def fitted(self, picture_numbers: Sequence[int] | None = None) -> PlaceFit:
        """In float32. `picture_numbers` are those of the images (GoodParts); None where none is a copy of another.

        Raises ValueError where no vector was added.
        """
        if not self._batches:
            raise ValueError("Gaussians need training images")
        vectors = torch.cat(self._batches)
        places, dimensions = vectors.shape[1:]
        shared, regularisation = _choice(
            vectors, ByPicture(range(len(vectors)) if picture_numbers is None else picture_numbers)
        )
        common = _common(vectors)
        factor = torch.empty(places, dimensions, dimensions)
        for some in torch.split(torch.arange(places), CHUNK):
            own = _moments(vectors[:, some])[1]
            factor[some] = whitening_factor(_mixed(own, common, shared, regularisation), 0.0).float()
        return PlaceFit(factor, shared, regularisation)


class Likeliest(NamedTuple):
    """a and e under which images are likeliest, and the negative logarithm of that likelihood in nats a place."""

    cost: float
    shared: float
    regularisation: float


def likeliest(seen: Tensor, unseen: Tensor) -> Likeliest:
    """How likely vectors `unseen` (m, P, D) are by the Gaussians of `seen` (n, P, D), at some of the places."""
    places = seen.shape[1]
    some = torch.linspace(0, places - 1, min(places, COMPARED)).round().long()
    compared = unseen[:, some].double()
    mean, own = _moments(seen[:, some])
    common = _common(seen)
    tried = (
        Likeliest(negative_log_likelihood(compared, mean, whitening_factor(_mixed(own, common, a, e), 0.0)), a, e)
        for a in SHARES
        for e in REGULARISATIONS
    )
    return min(tried, key=lambda one: one.cost)


def _choice(vectors: Tensor, pictures: ByPicture) -> tuple[float, float]:
    """a and e under which every fifth picture is likeliest, by the Gaussians of the others."""
    if pictures.count < FEWEST:
        return SHARES[-1], REGULARISATIONS[-1]
    step = round(1 / ASIDE)
    aside = torch.zeros(len(vectors), dtype=torch.bool)
    aside[pictures.images(range(step - 1, pictures.count, step))] = True
    found = likeliest(vectors[~aside], vectors[aside])
    return found.shared, found.regularisation


def _moments(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """(n, P, D) -> means (P, D) and covariances (P, D, D)."""
    by_place = vectors.float().transpose(0, 1)
    mean = by_place.mean(dim=1)
    centred = by_place - mean[:, None]
    return mean, torch.bmm(centred.transpose(1, 2), centred) / max(1, len(vectors) - 1)


def _common(vectors: Tensor) -> Tensor:
    """(n, P, D) -> the mean over the places of their covariances, (D, D)."""
    chunks = torch.split(torch.arange(vectors.shape[1]), CHUNK)
    return torch.stack([_moments(vectors[:, some])[1].sum(dim=0) for some in chunks]).sum(dim=0) / vectors.shape[1]


def _mixed(own: Tensor, common: Tensor, shared: float, regularisation: float) -> Tensor:
    """C_p of the module's text, in double precision."""
    level = float(common.diagonal().mean())
    identity = torch.eye(common.shape[-1], dtype=torch.float64)
    mixed = torch.lerp(own, common.expand_as(own), shared).double()
    return mixed + max(regularisation * level, LEAST_VARIANCE) * identity
