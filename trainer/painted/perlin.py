"""Perlin's gradient noise (SIGGRAPH 1985), in two octaves."""

from __future__ import annotations

import numpy as np

from trainer.painted.scene import Cover


def perlin(shape: tuple[int, ...], cell: float, random: np.random.Generator) -> Cover:
    """(H, W), about -1 to 1; `cell` is the side of the coarser lattice in pixels."""
    coarse, fine = _octave(shape, cell, random), _octave(shape, max(cell / 2, 1.5), random)
    return np.asarray(coarse + 0.5 * fine, dtype=np.float32)


def _octave(shape: tuple[int, ...], cell: float, random: np.random.Generator) -> Cover:
    y, x = np.arange(shape[0]) / cell + random.uniform(), np.arange(shape[1]) / cell + random.uniform()
    angles = random.uniform(0, 2 * np.pi, (int(y[-1]) + 2, int(x[-1]) + 2))
    rows, columns = y.astype(int)[:, None], x.astype(int)[None, :]
    dy, dx = (y % 1)[:, None], (x % 1)[None, :]

    def corner(down: int, right: int) -> Cover:
        angle = angles[rows + down, columns + right]
        return np.asarray(np.sin(angle) * (dy - down) + np.cos(angle) * (dx - right))

    fade_y, fade_x = (t**3 * (t * (6 * t - 15) + 10) for t in (dy, dx))
    upper = corner(0, 0) + fade_x * (corner(0, 1) - corner(0, 0))
    lower = corner(1, 0) + fade_x * (corner(1, 1) - corner(1, 0))
    return np.asarray(1.4 * (upper + fade_y * (lower - upper)), dtype=np.float32)
