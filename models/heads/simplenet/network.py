"""Adaptor and discriminator of SimpleNet, and both as the one hidden layer that they are when training has ended."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.2  # of LeakyReLU


class AdaptedDiscriminator(nn.Module):
    """Linear (C to C), then linear to `hidden`, BatchNorm, LeakyReLU and a linear output without bias."""

    def __init__(self, channels: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.adaptor = nn.Linear(channels, channels)
        self.first = nn.Linear(channels, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.tail = nn.Linear(hidden, 1, bias=False)
        for layer in (self.adaptor, self.first, self.tail):
            nn.init.xavier_normal_(layer.weight, generator=generator)
        nn.init.zeros_(self.adaptor.bias)
        nn.init.zeros_(self.first.bias)

    def discriminate(self, adapted: Tensor) -> Tensor:
        """Adapted features (n, C) -> (n,): high for those of good parts."""
        found: Tensor = self.tail(functional.leaky_relu(self.norm(self.first(adapted)), SLOPE))
        return found[:, 0]

    @torch.no_grad()
    def folded(self, mean: Tensor | None = None, matrix: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """weight (C, hidden), bias (hidden,) and tail (hidden,) of `output_of`, in float32.

        Whitening (by `mean` and `matrix`), adaptor, linear layer and BatchNorm are all linear, so they are one.
        """
        gain = self.norm.weight.double() / (self._buffer("running_var") + self.norm.eps).sqrt()
        weight = (self.first.weight.double() @ self.adaptor.weight.double()).t() * gain
        bias = self.first.weight.double() @ self.adaptor.bias.double() + self.first.bias.double()
        bias = (bias - self._buffer("running_mean")) * gain + self.norm.bias.double()
        if mean is not None and matrix is not None:
            weight = matrix.double() @ weight
            bias = bias - mean.double() @ weight
        return weight.float(), bias.float(), self.tail.weight[0].detach().clone()

    def _buffer(self, name: str) -> Tensor:
        return self.norm.get_buffer(name).double()


def output_of(features: Tensor, weight: Tensor, bias: Tensor, tail: Tensor) -> Tensor:
    """Features (n, C) -> (n,): what `discriminate` gives for them once whitened and adapted, in evaluation mode."""
    return functional.leaky_relu(torch.addmm(bias, features, weight), SLOPE) @ tail
