"""Mean and covariance of feature vectors, added up batch by batch, and the whitening that follows from them.

The covariance is shrunk towards a multiple of the identity (Ledoit and Wolf, 2004), so that a few images are enough.
"""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST_LEVEL = 1e-12
LEAST_SHRINKAGE = 1e-4
# Of any direction: smaller ones are rounding, and where parts are all alike the matrix would leave half precision.
LEAST_VARIANCE = 1e-8


class Moments:
    """What mean, covariance and its shrinkage need of vectors (n, C), added up batch by batch in double precision."""

    def __init__(self) -> None:
        self._count = 0
        self._sum: Tensor | float = 0.0
        self._outer: Tensor | float = 0.0
        self._squares: Tensor | float = 0.0
        self._squares_times: Tensor | float = 0.0
        self._fourth: Tensor | float = 0.0

    def add(self, vectors: Tensor) -> None:
        """(..., C)."""
        flat = vectors.reshape(-1, vectors.shape[-1])
        squares = flat.square().sum(dim=1).double()
        self._count += len(flat)
        self._sum = self._sum + flat.sum(dim=0).double()
        self._outer = self._outer + (flat.T @ flat).double()
        self._squares = self._squares + squares.sum()
        self._squares_times = self._squares_times + (squares[:, None] * flat).sum(dim=0)
        self._fourth = self._fourth + squares.square().sum()

    def whitening(self) -> tuple[Tensor, Tensor]:
        """mean (C,) and matrix (C, C) in half precision: |(v - mean) matrix|^2 is v's squared Mahalanobis distance.

        Raises ValueError where no vector was added.
        """
        if not self._count:
            raise ValueError("a whitening needs training images")
        total, outer = torch.as_tensor(self._sum), torch.as_tensor(self._outer)
        mean = total / self._count
        covariance = outer / self._count - torch.outer(mean, mean)
        channels = len(mean)
        level = covariance.diagonal().mean().clamp_min(SMALLEST_LEVEL)
        target = level * torch.eye(channels, dtype=covariance.dtype, device=covariance.device)
        share = self._shrinkage(mean, covariance, target)
        values, vectors = torch.linalg.eigh((1 - share) * covariance + share * target)
        floor = max(LEAST_SHRINKAGE * float(level), LEAST_VARIANCE)
        return mean.half(), (vectors / values.clamp_min(floor).sqrt()).half()

    def _shrinkage(self, mean: Tensor, covariance: Tensor, target: Tensor) -> float:
        """Ledoit and Wolf's share of the target: the covariance's own variance over its distance from the target."""
        count, centre = self._count, mean.square().sum()
        squares, fourth = torch.as_tensor(self._squares) / count, torch.as_tensor(self._fourth) / count
        times = torch.as_tensor(self._squares_times) / count
        outer = covariance + torch.outer(mean, mean)
        # mean of |v - mean|^4, multiplied out, so that one look at the vectors is enough
        spread = fourth + 4 * mean @ outer @ mean + centre.square() - 4 * mean @ times
        spread = spread + 2 * centre * squares - 4 * centre * centre
        distance = (covariance - target).square().sum().clamp_min(torch.finfo(torch.float64).tiny)
        share = (spread - covariance.square().sum()) / count / distance
        return min(1.0, max(LEAST_SHRINKAGE, float(share)))
