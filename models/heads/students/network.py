"""The students: small networks that answer with the source's standardised activations, from the picture alone.

A student is a chain of 3x3 convolutions of stride 2, with a branch of a 3x3 and a 1x1 convolution where a tap's stride
is reached. Its receptive field there is 4 stride - 1: 15, 31 and 63 pixels at strides 4, 8 and 16, where the paper has
patches of 17, 33 and 65. The depths of one student share its chain; two students share nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from models.sources.registry import SourceSpec

SLOPE = 0.005  # of the leaky ReLU, the paper's
SHIFT, SCALE = 0.5, 4.0  # roughly zero mean and unit variance for photographs


class Student(nn.Module):
    """(B, 3, S, S) float RGB in [0, 1] -> for each tap (B, C, h, w). `width` is its channels at stride 4."""

    def __init__(self, taps: Sequence[str], source: SourceSpec, width: int) -> None:
        super().__init__()
        self._levels = [source.taps[tap].stride.bit_length() - 1 for tap in taps]
        widths = [3, *(width * 2**level // 4 for level in range(1, max(self._levels) + 1))]
        self.steps = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, after, 3, stride=2, padding=1), nn.LeakyReLU(SLOPE, inplace=True))
            for before, after in pairwise(widths)
        )
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(widths[level], widths[level], 3, padding=1),
                nn.LeakyReLU(SLOPE, inplace=True),
                nn.Conv2d(widths[level], source.taps[tap].channels, 1),
            )
            for tap, level in zip(taps, self._levels, strict=True)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """See the class; the order is that of `taps`."""
        hidden = ((images - SHIFT) * SCALE).contiguous(memory_format=torch.channels_last)
        reached = {}
        for level, step in enumerate(self.steps, start=1):
            hidden = step(hidden)
            reached[level] = hidden
        return [branch(reached[level]) for branch, level in zip(self.branches, self._levels, strict=True)]


class Students(nn.Module):
    """`count` students from starts of their own: (B, 3, S, S) -> for each tap (B, M, C, h, w)."""

    def __init__(self, taps: Sequence[str], source: SourceSpec, count: int, width: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(Student(taps, source, width) for _ in range(count))
        # On a CPU a convolution in this order is the faster one, too.
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> list[Tensor]:
        """See the class."""
        return [torch.stack(answers, dim=1) for answers in zip(*(one(images) for one in self.members), strict=True)]
