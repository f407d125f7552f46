"""Patch features: the activations of several taps on one grid, each averaged over its neighbourhood.

    f(x, y) = [ mean over 3x3 of tap 1 at (x, y), ..., mean over 3x3 of tap n at (x, y) ]

as in PaDiM (Defard et al., 2020) and PatchCore (Roth et al., 2022). The grid is that of one of the taps: finer ones are
averaged down to it, coarser ones interpolated up.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from models.sources.registry import Activations, SourceSpec

NEIGHBOURHOOD = 3  # places to a side


def patch_features(activations: Activations, taps: Sequence[str], grid_tap: str, tap_scales: Sequence[float]) -> Tensor:
    """Activations (B, C_i, h_i, w_i) -> (B, h, w, sum of C_i), float32; h and w are those of `grid_tap`.

    Each tap is divided by its scale.
    """
    grid = activations[grid_tap].shape[-2:]
    parts = [on_grid(activations[tap].float() / scale, grid) for tap, scale in zip(taps, tap_scales, strict=True)]
    return torch.cat(parts, dim=1).permute(0, 2, 3, 1)


def projected_features(
    activations: Activations,
    taps: Sequence[str],
    grid_tap: str,
    tap_scales: Sequence[float],
    projection: Tensor,
) -> Tensor:
    """`patch_features` times `projection` (sum of C_i, D) -> (B, h, w, D).

    Averaging and projecting are both linear and commute, so each tap is projected first: D channels are averaged
    instead of all.
    """
    grid = activations[grid_tap].shape[-2:]
    total, start = None, 0
    for tap, scale in zip(taps, tap_scales, strict=True):
        values = activations[tap]
        rows = projection[start : start + values.shape[1]].float() / scale
        part = on_grid((values.float().permute(0, 2, 3, 1) @ rows).permute(0, 3, 1, 2), grid)
        total = part if total is None else total + part
        start += values.shape[1]
    assert total is not None  # a configuration has at least one tap
    return total.permute(0, 2, 3, 1)


def random_mixtures(channels: int, dimensions: int, generator: torch.Generator) -> Tensor:
    """A projection (channels, at most `dimensions`) with random orthonormal columns."""
    mixtures: Tensor = torch.linalg.qr(torch.randn(channels, min(dimensions, channels), generator=generator)).Q
    return mixtures


def on_grid(tap: Tensor, grid: torch.Size) -> Tensor:
    """(B, C, h', w') averaged over 3x3 neighbours -> (B, C, h, w) of the grid."""
    tap = tap.contiguous(memory_format=torch.channels_last)  # in which order averaging is many times faster
    around = functional.avg_pool2d(tap, NEIGHBOURHOOD, stride=1, padding=NEIGHBOURHOOD // 2, count_include_pad=False)
    if around.shape[-1] > grid[-1]:
        return functional.adaptive_avg_pool2d(around, (grid[0], grid[1]))
    if around.shape[-1] < grid[-1]:
        return functional.interpolate(around, size=list(grid), mode="bilinear", align_corners=False)
    return around


def middle_tap(taps: Sequence[str], source: SourceSpec) -> str:
    """The tap whose grid is taken: of three the middle one, of two the finer, by stride."""
    ordered = sorted(taps, key=lambda tap: source.taps[tap].stride)
    return ordered[(len(ordered) - 1) // 2]


def channels_of(taps: Sequence[str], source: SourceSpec) -> int:
    """The length of a patch's features."""
    return sum(source.taps[tap].channels for tap in taps)
