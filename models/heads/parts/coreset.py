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
BLOCK = 64  # of the farthest vectors, among which the next choices are looked for at a time
PIECE = 8192  # vectors to a matrix product


def projection(channels: int, generator: torch.Generator, dimensions: int = PROJECTED) -> Tensor:
    """A random Gaussian matrix (channels, dimensions) that keeps distances about as they are.

    It is the identity where it would not shorten.
    """
    if channels <= dimensions:
        return torch.eye(channels)
    matrix: Tensor = torch.randn(channels, dimensions, generator=generator) / dimensions**0.5
    return matrix


def coreset(
    vectors: Tensor, count: int, generator: torch.Generator, progress: Callable[[int], None] = lambda done: None
) -> Tensor:
    """Vectors (n, D) -> the indices (min(count, n),) of the chosen ones, in the order in which they were chosen."""
    total = len(vectors)
    if count >= total:
        return torch.arange(total, device=vectors.device)
    starters = vectors[torch.randperm(total, generator=generator)[:STARTERS].to(vectors.device)]
    newest = torch.cdist(vectors, starters).mean(dim=1).argmax()[None]
    half_squares = vectors.square().sum(dim=1) / 2
    nearest = torch.full_like(half_squares, float("inf"))  # half the squared distance to the nearest chosen one
    chosen: list[Tensor] = []
    while len(chosen) < count:
        chosen += newest.unbind()
        _bring_near(nearest, vectors, half_squares, newest)
        newest = _farthest(nearest, vectors, half_squares, min(BLOCK, count - len(chosen)))
        progress(len(chosen))
    return torch.stack(chosen)


def _bring_near(nearest: Tensor, vectors: Tensor, half_squares: Tensor, newest: Tensor) -> None:
    """Counts the newest chosen ones: one matrix product for all of them, in pieces that stay in the cache."""
    for start in range(0, len(vectors), PIECE):
        piece = slice(start, start + PIECE)
        apart = torch.addmm(half_squares[newest][None], vectors[piece], vectors[newest].T, alpha=-1)
        nearest[piece] = torch.minimum(nearest[piece], apart.amin(dim=1) + half_squares[piece])


def _farthest(nearest: Tensor, vectors: Tensor, half_squares: Tensor, most: int) -> Tensor:
    """The next up to `most` choices, exactly those that one choice at a time would make.

    Distances only fall as vectors are chosen. So the farthest `BLOCK` hold the next choice as long as the best of them
    is not below the farthest vector outside.
    """
    block = nearest.topk(min(BLOCK + 1, len(nearest)))
    inside, left, outside = block.indices[:-1], block.values[:-1].clone(), block.values[-1]
    if not most:
        return inside[:0]
    apart = half_squares[inside] - vectors[inside] @ vectors[inside].T + half_squares[inside][:, None]
    found: list[Tensor] = []
    while len(found) < most:
        best = left.argmax()
        if found and left[best] < outside:
            break
        found.append(inside[best])
        torch.minimum(left, apart[best], out=left)
    return torch.stack(found)
