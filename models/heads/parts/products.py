"""Multiplies many vectors by one matrix; for a picture that is judged alone each core takes some of the vectors."""

from __future__ import annotations

import torch
from torch import Tensor

from models.backends.single_threads import lent_threads, shares, together

SHARED_PRODUCTS = 1 << 25  # multiply-adds from which on waking a second thread pays: half a millisecond of one core


def parts_of(count: int, products: int) -> list[range]:
    """`count` things cut into a share for each lent thread, or one share where that many multiply-adds are few."""
    return shares(count, lent_threads() if products >= SHARED_PRODUCTS else 1)


def product(vectors: Tensor, matrix: Tensor) -> Tensor:
    """(..., C) and (C, D), both constants -> (..., D)."""
    rows = vectors.reshape(-1, vectors.shape[-1])
    found = rows.new_empty(len(rows), matrix.shape[1])

    @torch.no_grad()
    def multiply(part: range) -> None:
        own = slice(part.start, part.stop)
        torch.mm(rows[own], matrix, out=found[own])

    together(multiply, parts_of(len(rows), len(rows) * matrix.numel()))
    return found.view(*vectors.shape[:-1], -1)
