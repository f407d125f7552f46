"""Squared lengths of vectors by the matrix of each place, of which there are many megabytes in half precision.

    d = |v W|^2 / D,   with its gradient by v, 2/D (v W) W^T, computed while W is at hand

On a CPU the matrices are widened to the vectors' precision a few at a time, in a piece of memory that stays in the
core's cache: for a single image that takes a quarter of the time of widening them all first, and less than reading all
of them in float32, at half the memory. For an image that is judged alone the cores share the places.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from models.backends.single_threads import lent_threads, shares, together

WIDENED_BYTES = 3 << 19  # of matrices at once, measured from 1/4 to 2 MiB; two threads with more wait for memory
SHARED_BYTES = 2 << 20  # of matrices from which on waking a second thread for half of them pays


def place_distances(vectors: Tensor, matrices: Tensor) -> Tensor:
    """v (B, P, D) and W (P, D, D), constants in any precision -> d (B, P). Its gradient has no gradient of its own."""
    found: Tensor = _PlaceDistances.apply(vectors, matrices)
    return found


class _PlaceDistances(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vectors: Tensor, matrices: Tensor) -> Tensor:
        """See place_distances."""
        places = vectors.detach().transpose(0, 1).contiguous()
        whitened = torch.empty_like(places)
        slopes = torch.empty_like(places) if ctx.needs_input_grad[0] else None

        def measure(share: range) -> None:
            part = slice(share.start, share.stop)
            pieces = _Widened(matrices[part], places)
            kept = (places, whitened, places if slopes is None else slopes)
            parts = (torch.split(whole[part], pieces.most) for whole in kept)
            for wide, own, found, slope in zip(pieces, *parts, strict=True):
                torch.bmm(own, wide, out=found)
                if slopes is not None:
                    torch.bmm(found, wide.transpose(1, 2), out=slope)

        size = matrices.numel() * matrices.element_size()
        together(measure, shares(len(matrices), lent_threads() if size >= SHARED_BYTES else 1))
        if slopes is not None:
            ctx.save_for_backward(slopes.mul_(2 / places.shape[-1]))
        return whitened.square_().mean(dim=-1).t()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """(B, P) -> (B, P, D)."""
        (slopes,) = ctx.saved_tensors
        return (gradient.t()[..., None] * slopes).transpose(0, 1), None


class _Widened:
    """Matrices (P, D, D) in the precision of `like`, `most` at once; the next ones take the memory of those before."""

    def __init__(self, matrices: Tensor, like: Tensor) -> None:
        self._matrices, self._like = matrices, like
        self._as_they_are = matrices.dtype == like.dtype or matrices.device.type != "cpu"
        fitting = WIDENED_BYTES // (matrices[0].numel() * like.element_size())
        self.most = len(matrices) if self._as_they_are else min(len(matrices), max(1, fitting))

    def __iter__(self) -> Iterator[Tensor]:
        if self._as_they_are:
            yield self._matrices.to(self._like.dtype)
            return
        room = self._like.new_empty((self.most, *self._matrices.shape[1:]))
        for piece in torch.split(self._matrices, self.most):
            yield room[: len(piece)].copy_(piece)
