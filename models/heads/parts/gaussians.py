"""Gaussians of feature vectors: one for each place, or one for all places, and the Mahalanobis distance to them.

    d(x, y)^2 = (f - m_xy)^T (C_xy + e I)^-1 (f - m_xy)

The inverse is kept as a Cholesky factor, so that the distance is the length of a vector and never negative.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.heads.parts.place_distances import place_distances


class PlaceMoments:
    """Means and covariances by place of vectors (B, P, C), added up batch by batch in double precision."""

    def __init__(self, places: int, channels: int) -> None:
        self._count = 0
        self._sum = torch.zeros(places, channels, dtype=torch.float64)
        self._outer = torch.zeros(places, channels, channels, dtype=torch.float64)

    def add(self, vectors: Tensor) -> None:
        """(B, P, C)."""
        own = vectors.detach().cpu().double().transpose(0, 1)
        self._count += own.shape[1]
        self._sum += own.sum(dim=1)
        self._outer += own.transpose(1, 2) @ own

    def by_place(self) -> tuple[Tensor, Tensor]:
        """(P, C) means and (P, C, C) covariances (divided by n - 1). Raises ValueError for less than two images."""
        if self._count < 2:
            raise ValueError("a Gaussian needs at least two images")
        mean = self._sum / self._count
        covariance = (self._outer - self._count * mean[:, :, None] * mean[:, None, :]) / (self._count - 1)
        return mean, covariance


def whitening_factor(covariance: Tensor, regularisation: float) -> Tensor:
    """(P, C, C) -> W (P, C, C) with |v W|^2 = v^T (C + e I)^-1 v; e is `regularisation`.

    W is L^-T of the Cholesky factor L. Raises ValueError where the covariance is not one.
    """
    channels = covariance.shape[-1]
    identity = torch.eye(channels, dtype=covariance.dtype)
    factor, failed = torch.linalg.cholesky_ex(covariance + regularisation * identity)
    if bool(failed.any()):
        raise ValueError("the covariance of the features has no inverse; a larger regularisation is needed")
    inverse: Tensor = torch.linalg.solve_triangular(factor, identity.expand_as(factor), upper=False)
    return inverse.transpose(1, 2)


def negative_log_likelihood(vectors: Tensor, mean: Tensor, factor: Tensor) -> float:
    """Of vectors (B, P, C) by Gaussians as of `mahalanobis`: the mean in nats a place, but for a constant."""
    distances = mahalanobis(vectors, mean, factor)
    log_volume = -factor.diagonal(dim1=1, dim2=2).log().sum(dim=1).mean()  # half the log determinant
    return float(distances.square().mean() / 2 + log_volume)


def mahalanobis(vectors: Tensor, mean: Tensor, factor: Tensor) -> Tensor:
    """Vectors (B, P, C) against (P or 1, C) and (P or 1, C, C) of any precision -> distances (B, P)."""
    centred = vectors - mean.to(vectors.dtype)
    if len(factor) == 1:
        return (centred @ factor[0].to(vectors.dtype)).square().sum(dim=-1).sqrt()
    return (place_distances(centred, factor) * vectors.shape[-1]).sqrt()
