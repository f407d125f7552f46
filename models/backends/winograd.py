"""A 3x3 convolution with ReLU (and max-pool) by Winograd's algorithm, as matrix products of torch.

Winograd's F(4x4, 3x3) (Lavin and Gray, 2016): 36 products stand for the 144 of a 4x4 tile of outputs.

    tile of outputs = A^T [ (G g G^T) * (B^T d B) ] A              d: 6x6 tile of inputs, g: 3x3 weights, *: elementwise

Summed over the input channels, the elementwise product is 36 matrix products (tiles, C) x (C, K). The two transforms of
activations are matrix products too, by the 36x36 and 16x36 Kronecker squares of B^T and A^T: that costs more additions
than spelling them out, and less time, as torch's matrix library does it at full speed and nothing has to be compiled.

The tiles of many images stand in one product. So the transformed weights, four times the plain ones and far more than a
core's cache holds, are read once for many images. Relative error against a direct convolution: about 1e-6 (float32).

A *blob* is what a layer reads: (n, H + 2, W + 2, C) with its zero padding, sides rounded up to whole tiles, zero there.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from models.backends.winograd_tiles import convolve

TILE = 4  # outputs of a tile, a side
PATCH = TILE + 2  # inputs of a tile, a side
# Tiles in one matrix product: enough to be worth reading the weights for, few enough for a core's cache.
FEWEST_TILES, MOST_TILES = 128, 256
TILES_X_CHANNELS = 32768
FIRST_POSITIONS = 4096  # outputs of the first layer in one matrix product
BIAS_PLACE = PATCH + 1  # A^T takes this one of the 36 products to all 16 outputs with factor 1

_B_T = (
    (4.0, 0.0, -5.0, 0.0, 1.0, 0.0),
    (0.0, -4.0, -4.0, 1.0, 1.0, 0.0),
    (0.0, 4.0, -4.0, -1.0, 1.0, 0.0),
    (0.0, -2.0, -1.0, 2.0, 1.0, 0.0),
    (0.0, 2.0, -1.0, -2.0, 1.0, 0.0),
    (0.0, 4.0, 0.0, -5.0, 0.0, 1.0),
)
_G = (
    (1 / 4, 0.0, 0.0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0.0, 0.0, 1.0),
)
_A_T = (
    (1.0, 1.0, 1.0, 1.0, 1.0, 0.0),
    (0.0, 1.0, -1.0, 2.0, -2.0, 0.0),
    (0.0, 1.0, 1.0, 4.0, 4.0, 0.0),
    (0.0, 1.0, -1.0, 8.0, -8.0, 1.0),
)


class Scratch:
    """Memory of one thread that lasts from call to call: large fresh tensors would cost their pages anew each time."""

    def __init__(self) -> None:
        self._buffers: dict[str, Tensor] = {}

    def take(self, name: str, *shape: int) -> Tensor:
        """Uninitialised float32 of that shape; the next call with this name may give the same memory."""
        wanted = math.prod(shape)
        buffer = self._buffers.get(name)
        if buffer is None or buffer.numel() < wanted:
            buffer = self._buffers[name] = lasting(wanted)
        return buffer[:wanted].view(shape)


def lasting(*shape: int) -> Tensor:
    """Uninitialised float32 for as long as the backend lives; by numpy, which asks Linux for huge pages."""
    return torch.from_numpy(np.empty(shape, np.float32))


def tiles_of(side: int) -> int:
    """How many tiles cover that many outputs."""
    return -(-side // TILE)


def empty_blob(images: int, side: int, channels: int) -> Tensor:
    """A blob of zeros for maps of `side` x `side`."""
    padded = TILE * tiles_of(side) + 2
    return lasting(images, padded, padded, channels).zero_()


def inside(blob: Tensor) -> Tensor:
    """The blob without the padding around it: (n, tiles * 4, tiles * 4, C)."""
    return blob[:, 1:-1, 1:-1]


class WinogradConvolution:
    """One layer: 3x3 convolution with zero padding and bias, ReLU, and with `pooled` a 2x2 max-pool."""

    def __init__(self, weight: Tensor, bias: Tensor, *, pooled: bool) -> None:
        """`weight` is of `transformed`."""
        self.inputs, self.outputs = weight.shape[1:]
        self.pooled = pooled
        self._weight = weight
        self._bias = bias.detach().cpu().float()
        self._to_patch = _square(_B_T)
        self._from_patch = _square(_A_T)
        self._tiles = max(FEWEST_TILES, min(MOST_TILES, TILES_X_CHANNELS // self.inputs))

    def run(self, blob: Tensor, into: Tensor, side: int, scratch: Scratch) -> None:
        """Maps of `side` in the blob -> `into`, (n, tiles * 4, tiles * 4, K) or half as many pixels a side if pooled.

        Without pooling, what lies beyond `side` is set to zero, as the next layer reads it as padding.
        """
        across = tiles_of(side)
        patches, places = _patches(blob), self._places(into, side)
        together = max(1, self._tiles // across**2)
        rows_at_once = max(1, min(across, self._tiles // across))
        convolve(
            patches,
            places,
            self._weight,
            self._bias,
            self._to_patch,
            self._from_patch,
            self._buffers(min(together, len(blob)) * rows_at_once * across, scratch),
            BIAS_PLACE,
            together,
            rows_at_once,
        )
        if not self.pooled and across * TILE > side:
            into[:, side:] = 0
            into[:, :, side:] = 0

    def _buffers(self, tiles: int, scratch: Scratch) -> list[Tensor]:
        spots, kept = PATCH**2, TILE**2
        sizes = {"gathered": spots * self.inputs, "spectrum": spots * self.inputs, "products": spots * self.outputs}
        sizes["found"] = kept * self.outputs
        if self.pooled:
            sizes |= {"upper": kept // 2 * self.outputs, "pool": kept // 4 * self.outputs}
        return [scratch.take(name, tiles * size) for name, size in sizes.items()]

    def _places(self, into: Tensor, side: int) -> Tensor:
        """View by tile of where outputs go: (4, 4, n, rows, columns, K), or (2, 2, ...) if pooled."""
        across, step = tiles_of(side), TILE // 2 if self.pooled else TILE
        images, channels = into.shape[0], into.shape[-1]
        image, row, column, channel = into.stride()
        shape = (step, step, images, across, across, channels)
        return into.as_strided(shape, (row, column, image, step * row, step * column, channel))


def transformed(weight: Tensor) -> Tensor:
    """Plain weights (K, C, 3, 3) -> those of the 36 products, (36, C, K) float32, computed in double precision."""
    outputs, inputs = weight.shape[:2]
    g = torch.tensor(_G, dtype=torch.float64)
    found = torch.einsum("xa,yb,kcab->xyck", g, g, weight.detach().cpu().double())
    return lasting(PATCH**2, inputs, outputs).copy_(found.flatten(0, 1))


def _patches(blob: Tensor) -> Tensor:
    """View of a blob by tile: (6, 6, n, rows, columns, C)."""
    return blob.unfold(1, PATCH, TILE).unfold(2, PATCH, TILE).permute(4, 5, 0, 1, 2, 3)


def _square(matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    """The matrix that applies `matrix` to rows and columns of a flattened tile."""
    one = torch.tensor(matrix, dtype=torch.float64)
    return torch.kron(one, one).float().contiguous()


class FirstConvolution:
    """The layer of three colours, where Winograd does not pay: one matrix product over its 27 inputs, bias, ReLU."""

    def __init__(self, layer: nn.Module) -> None:
        assert isinstance(layer, nn.Conv2d)
        assert layer.bias is not None
        # The bias is the weight of a 28th input, which is always 1.
        weight = layer.weight.detach().cpu().float()
        self._weight = torch.cat((weight.flatten(1).t(), layer.bias.detach().cpu().float()[None])).contiguous()

    def run(self, planes: Tensor, into: Tensor, rows: range, scratch: Scratch) -> None:
        """Padded (3, S + 2, S + 2) -> those rows of `into`, (1, S, S, 64)."""
        size = planes.shape[-1] - 2
        patches = planes.unfold(1, 3, 1).unfold(2, 3, 1).permute(0, 3, 4, 1, 2)
        at_once = max(1, FIRST_POSITIONS // size)
        for row in range(rows.start, rows.stop, at_once):
            window = slice(row, min(row + at_once, rows.stop))
            positions = (window.stop - window.start) * size
            inputs = scratch.take("inputs", 28, positions)
            inputs[:27].view(3, 3, 3, -1, size).copy_(patches[:, :, :, window])
            inputs[27] = 1
            found = torch.mm(inputs.t(), self._weight, out=scratch.take("first", positions, self._weight.shape[1]))
            torch.clamp_min(found.view(1, -1, size, self._weight.shape[1]), 0, out=into[:, window])
