"""Attributes distances to the places that made them, by one backward pass: gradient times error.

A distance d = |(v - m) W|^2 / C of a window is homogeneous of degree 2 in u = r - m, of which v - m is the mean
over the window's places. So by Euler's theorem it is the sum of its places' shares, exactly:

    d = sum over places of  1/2 < d d / d u(place), u(place) >

Any weighted sum of distances is shared out by the same gradient; a share may be negative, where an error makes up for
others of its window. `told` weighs each distance such that the shares of a view have the mean of its log(1 + d).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from models.heads.mkd.views import View

SMALLEST = 1e-12


def told(distances: Mapping[View, Tensor], weights: Mapping[View, float]) -> Tensor:
    """Distances (B, h', w') by view -> the scalar whose gradient by the errors gives `shares`.

    The weight log(1 + d) / d of each window is taken for a constant.
    """
    parts = []
    for view, found in distances.items():
        with torch.no_grad():
            factor = weights[view] * found.log1p() / found.clamp_min(SMALLEST)
        parts.append((factor * found).flatten(1).mean(dim=1).sum())
    return torch.stack(parts).sum()


def shares(gradient: Tensor, reduced: Tensor) -> Tensor:
    """`told`'s gradient by u = r - m and u, both (B, h, w, C) -> the places' shares (B, h, w).

    A view by place has its projection P of u in both places, as <d d / d u, u> = <d d / d (u P), u P>.

    Their mean over the places is the view's weight times the mean of log(1 + d) over its windows.
    """
    return (gradient * reduced).sum(dim=-1) * (gradient.shape[1] * gradient.shape[2] / 2)


def spread_out(places: Tensor, size: int) -> Tensor:
    """(B, h, w) -> (B, size, size), bilinear."""
    return functional.interpolate(places[:, None], size=(size, size), mode="bilinear", align_corners=False)[:, 0]


def sharpened(maps: Tensor, gradients: Tensor, exponent: float) -> Tensor:
    """Maps (B, S, S) times the pixels' gradients (B, S, S) over their mean, to a small exponent; each keeps its mean.

    The pixel gradient is sharp and noisy, the map steady and coarse: an exponent of 1/16 lets it shape edges only.
    """
    relative = gradients / gradients.mean(dim=(1, 2), keepdim=True).clamp_min(torch.finfo(gradients.dtype).tiny)
    return with_mean(maps * relative.clamp_min(LEAST_RELATIVE).pow(exponent), maps.mean(dim=(1, 2)))


def with_mean(maps: Tensor, means: Tensor) -> Tensor:
    """Maps (B, S, S) times one factor each, such that their means are `means` (B,); a map that sums to 0 stays."""
    own = maps.mean(dim=(1, 2))
    factor = torch.where(own.abs() > SMALLEST, means / own, torch.ones_like(own))
    return maps * factor[:, None, None]


LEAST_RELATIVE = 1e-6  # of the mean gradient: a dead pixel dims the map and does not blacken it
