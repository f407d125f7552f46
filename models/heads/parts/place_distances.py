"""Squared lengths of vectors by the matrix of each place, of which there are many megabytes in half precision.

    d = |v W|^2 / D,   with its gradient by v, 2/D (v W) W^T, computed while W is at hand

On a CPU the matrices are widened to the vectors' precision a few at a time, in a piece of memory that stays in the
core's cache: for a single image that takes a quarter of the time of widening them all first, and less than reading all
of them in float32, at half the memory. Of an image that is judged alone the cores share the places where that has been
faster lately.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from models.backends.fastest_way import FastestWay
from models.backends.single_threads import lent_threads, shares, together

WIDENED_BYTES = 3 << 19  # of matrices at once, measured from 1/4 to 2 MiB; two threads with more wait for memory
SHARED_BYTES = 4 << 20  # of matrices from which on waking a second thread for half of them can pay


def place_distances(vectors: Tensor, matrices: Tensor) -> Tensor:
    """v (B, P, D) and W (P, D, D), constants in any precision -> d (B, P). Its gradient has no gradient of its own."""
    found: Tensor = _PlaceDistances.apply(vectors, matrices)
    return found


Measure = Callable[[range], None]


@lru_cache(maxsize=256)
def _ways(_shape: torch.Size, _slopes: bool) -> FastestWay[[Measure, range], None]:
    """The takers of the places of vectors of that shape: one core, or all lent ones, which may only wait for memory."""
    return FastestWay([lambda measure, whole: measure(whole), _shared])


def _shared(measure: Measure, whole: range) -> None:
    together(measure, shares(len(whole), lent_threads()))


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

        whole = range(len(matrices))
        if lent_threads() > 1 and matrices.numel() * matrices.element_size() >= SHARED_BYTES:
            _ways(vectors.shape, slopes is not None)(measure, whole)
        else:
            measure(whole)
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
