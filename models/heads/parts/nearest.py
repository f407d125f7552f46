"""Distances to the nearest of many vectors, by matrix products in pieces of bounded memory.

    |q - b|^2 = |q|^2 - 2 q.b + |b|^2

The product is a library's matrix multiplication at full speed. It finds the nearest vector, whose distance is then
taken directly, as the difference of large squares would lose small ones. Each query's result depends on it alone.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

PIECE_BYTES = 16 << 20  # of the table of distances held at a time


class Bank(NamedTuple):
    """Vectors (n, C) to be near to, and half their squared lengths (n,)."""

    vectors: Tensor
    half_squares: Tensor

    @classmethod
    def of(cls, vectors: Tensor) -> Bank:
        """The bank of (n, C) float32."""
        return cls(vectors, vectors.square().sum(dim=1) / 2)


def nearest(queries: Tensor, bank: Bank, piece_bytes: int = PIECE_BYTES) -> tuple[Tensor, Tensor]:
    """Queries (m, C) -> the distance to the nearest vector of the bank (m,), and which one it is (m,)."""
    rows = max(1, piece_bytes // (4 * len(bank.vectors)))
    found = [
        torch.addmm(bank.half_squares[None], piece, bank.vectors.t(), beta=-1).argmax(dim=1)
        for piece in torch.split(queries, rows)
    ]
    index = torch.cat(found)
    return (queries - bank.vectors[index]).square().sum(dim=1).sqrt(), index
