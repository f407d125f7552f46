"""A coreset: few vectors such that each of the others has one of them near (greedy k-centre selection).

Start with the vector that lies farthest from a random sample (by mean distance to ten of them), then add, again and
again, the one farthest from all that are chosen (Sener and Savarese, 2018; PatchCore's algorithm 1). Distances are
taken after a random projection (Johnson and Lindenstrauss), so memory is that of the projected vectors: never N x N.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

PROJECTED = 128  # dimensions in which distances are taken
STARTERS = 10


def project(vectors: Tensor, generator: torch.Generator, dimensions: int = PROJECTED) -> Tensor:
    """(n, C) -> (n, dimensions) by a random Gaussian matrix; vectors that are shorter already stay as they are."""
    channels = vectors.shape[1]
    if channels <= dimensions:
        return vectors
    matrix = torch.randn(channels, dimensions, generator=generator).to(vectors) / dimensions**0.5
    projected: Tensor = vectors @ matrix
    return projected


def coreset(
    vectors: Tensor, count: int, generator: torch.Generator, progress: Callable[[int], None] = lambda done: None
) -> Tensor:
    """Vectors (n, D) -> the indices (min(count, n),) of the chosen ones, in the order in which they were chosen."""
    total = len(vectors)
    if count >= total:
        return torch.arange(total, device=vectors.device)
    starters = vectors[torch.randperm(total, generator=generator)[:STARTERS].to(vectors.device)]
    spread = torch.cdist(vectors, starters).mean(dim=1)
    half_squares = vectors.square().sum(dim=1) / 2
    chosen = torch.empty(count, dtype=torch.long, device=vectors.device)
    newest = spread.argmax()
    # Half the squared distance to the nearest chosen one, in place: one pass over the vectors for each step.
    nearest = torch.full_like(half_squares, float("inf"))
    reached = torch.empty_like(half_squares)
    for number in range(count):
        chosen[number] = newest
        torch.mv(vectors, vectors[newest], out=reached)
        torch.sub(half_squares, reached, out=reached).add_(half_squares[newest])
        torch.minimum(nearest, reached, out=nearest)
        newest = nearest.argmax()
        progress(number + 1)
    return chosen
