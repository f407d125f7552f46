"""The inner loop of `models.backends.winograd`: computes a layer's outputs from its patches and transformed weights.

Written in the part of Python that torch compiles, so that the loop runs without the interpreter: its operations take
some tenths of a millisecond, and for each of them a thread would have to ask for the interpreter's lock, for which the
event loop and the decoder ask as well. The results are the same bits. `torch.jit.script` is deprecated, and what is to
replace it needs a compiler or takes the lock; where it is gone, the loop is plain Python again.
"""

# No `from __future__ import annotations`: torch reads the types of `convolve` themselves.
import warnings
from collections.abc import Callable

import torch
from torch import Tensor


def convolve_tiles(
    patches: Tensor,
    places: Tensor,
    weight: Tensor,
    bias: Tensor,
    to_patch: Tensor,
    from_patch: Tensor,
    buffers: list[Tensor],
    bias_place: int,
    images_at_once: int,
    rows_at_once: int,
) -> None:
    """Patches (6, 6, n, rows, columns, C) -> `places` (4, 4, n, rows, columns, K), with bias and ReLU; (2, 2, ...) if
    pooled.

    `weight` is (36, C, K), `bias` (K,), `to_patch` (36, 36), `from_patch` (16, 36). `buffers` are flat; for each tile
    of a step they hold 36 C, 36 C, 36 K, 16 K, and if pooled 8 K and 4 K numbers.
    """
    spots, kept = weight.shape[0], from_patch.shape[0]
    inputs, outputs = weight.shape[1], weight.shape[2]
    for first in range(0, patches.shape[2], images_at_once):
        for row in range(0, patches.shape[3], rows_at_once):
            chunk = patches[:, :, first : first + images_at_once, row : row + rows_at_once]
            place = places[:, :, first : first + images_at_once, row : row + rows_at_once]
            tiles = chunk.shape[2] * chunk.shape[3] * chunk.shape[4]
            columns = tiles * outputs
            gathered = buffers[0][: spots * tiles * inputs]
            gathered.view(chunk.shape).copy_(chunk)
            spectrum = buffers[1][: spots * tiles * inputs].view(spots, tiles * inputs)
            torch.mm(to_patch, gathered.view(spots, tiles * inputs), out=spectrum)
            products = buffers[2][: spots * columns].view(spots, tiles, outputs)
            torch.bmm(spectrum.view(spots, tiles, inputs), weight, out=products)
            products[bias_place].add_(bias)
            found = buffers[3][: kept * columns].view(kept, columns)
            torch.mm(from_patch, products.view(spots, columns), out=found)
            if place.shape[0] == 2:
                pairs = found.view(2, 2, 2, 2, columns)  # row of the pool, row in it, column of the pool, column in it
                upper = buffers[4][: 8 * columns].view(2, 2, 2, columns)
                torch.maximum(pairs[:, 0], pairs[:, 1], out=upper)
                found = buffers[5][: 4 * columns].view(4, columns)
                torch.maximum(upper[:, :, 0], upper[:, :, 1], out=found.view(2, 2, columns))
            torch.clamp_min(found.view(place.shape), 0.0, out=place)


def _compiled(function: Callable[..., None]) -> Callable[..., None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is deprecated: by another class of warning from version to version
        try:
            compiled: Callable[..., None] = torch.jit.script(function)
        except (AttributeError, RuntimeError, NotImplementedError):
            return function
    return compiled


convolve = _compiled(convolve_tiles)
