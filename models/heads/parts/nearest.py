"""Distances to the nearest of many vectors, by matrix products in pieces of bounded memory.

    |q - b|^2 = |q|^2 - 2 q.b + |b|^2

The product is a library's matrix multiplication at full speed. It finds the nearest vector, whose distance is then
taken directly, as the difference of large squares would lose small ones. Each query's result depends on it alone.
For a picture that is judged alone each core searches its share of the vectors.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from models.backends.single_threads import together
from models.heads.parts.products import parts_of

PIECE_BYTES = 16 << 20  # of the table of distances held at a time


class Bank(NamedTuple):
    """Vectors (n, C) to be near to, in any precision, and half their squared lengths (n,)."""

    vectors: Tensor
    half_squares: Tensor

    @classmethod
    def of(cls, vectors: Tensor) -> Bank:
        """The bank of (n, C) float32."""
        return cls(vectors, vectors.square().sum(dim=1) / 2)


def nearest(queries: Tensor, bank: Bank, piece_bytes: int = PIECE_BYTES) -> tuple[Tensor, Tensor]:
    """Queries (m, C) -> the distance to the nearest vector of the bank (m,), and which one it is (m,)."""
    parts = parts_of(len(bank.vectors), len(queries) * bank.vectors.numel())
    found: dict[range, tuple[Tensor, Tensor]] = {}

    def search(part: range) -> None:
        own = slice(part.start, part.stop)
        vectors = bank.vectors[own].to(queries.dtype)
        found[part] = _nearest_of(queries, Bank(vectors, bank.half_squares[own]), piece_bytes)

    together(search, parts)
    closeness, index = found[parts[0]]
    for part in parts[1:]:
        closer = found[part][0] > closeness
        closeness = torch.where(closer, found[part][0], closeness)
        index = torch.where(closer, found[part][1] + part.start, index)
    return (queries - bank.vectors[index]).square().sum(dim=1).sqrt(), index


def _nearest_of(queries: Tensor, bank: Bank, piece_bytes: int) -> tuple[Tensor, Tensor]:
    """The highest q.b - |b|^2 / 2 of each query (m,), and of which vector it is (m,)."""
    rows = max(1, piece_bytes // (4 * len(bank.vectors)))
    found = [
        torch.addmm(bank.half_squares[None], piece, bank.vectors.t(), beta=-1).max(dim=1)
        for piece in torch.split(queries, rows)
    ]
    return torch.cat([one.values for one in found]), torch.cat([one.indices for one in found])
