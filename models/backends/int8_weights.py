"""Rounds a convolution's weights to 8 bits such that every processor adds up its products alike.

    a weight, by channel that comes out      w = s (-127 to 127)
    a bias                                   b - (w' - w) E[input]       w': the rounded weights

Without VNNI a CPU adds two neighbouring products, of an activation up to 255 and a weight, in 16 bits, which overflow
beyond 255 * 128. So two neighbouring weights of a matrix product never exceed 128 together: one bit less would do, too,
and cost twice the error.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

Numbers = npt.NDArray[np.float64]

LARGEST_WEIGHT, LARGEST_PAIR = 127, 128
LARGEST_BIAS = 2.0**30


def rounded(
    weight: Numbers, bias: Numbers, step: float, mean: Numbers, *, pairs: bool
) -> tuple[Numbers, Numbers, Numbers]:
    """(O, I, ...) weights, (O,) bias, an input's step and its usual mean (I,) -> whole weights, (O,) their steps, bias.

    The bias makes up for what rounding changes of the usual output. With `pairs` neighbours along I stay below
    LARGEST_PAIR together.
    """
    weight = np.moveaxis(weight, 1, -1)  # as they lie in a matrix product: channels next to each other
    flat = weight.reshape(len(weight), -1)
    steps = np.abs(flat).max(axis=1) / LARGEST_WEIGHT
    if pairs:
        both = np.abs(flat[:, 1:]) + np.abs(flat[:, :-1])
        steps = np.maximum(steps, both.max(axis=1) / (LARGEST_PAIR - 1))  # less 1: each may be rounded up by a half
    steps = np.maximum(steps, np.abs(bias) / (step * LARGEST_BIAS)).astype(np.float32).astype(np.float64)
    steps = np.maximum(steps, np.finfo(np.float32).tiny)
    whole = np.clip(np.rint(flat / steps[:, None]), -LARGEST_WEIGHT, LARGEST_WEIGHT)
    changed = (whole * steps[:, None] - flat).reshape(len(weight), -1, weight.shape[-1]).sum(axis=1)
    moved = changed @ mean if weight.shape[-1] > 1 else changed[:, 0] * mean
    return np.moveaxis(whole.reshape(weight.shape), -1, 1), steps, bias - moved


def numbers_of(tensor: Tensor) -> Numbers:
    """A tensor of weights as they are rounded, in float64."""
    found: Numbers = tensor.detach().cpu().double().numpy()
    return found
