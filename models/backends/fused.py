"""Runs VGG-16 on a CPU with each convolution and its ReLU as one operation, on weights laid out for it once.

oneDNN, which computes torch's convolutions on a CPU, wants weights in blocks. As a plain layer keeps them otherwise,
they are laid out anew at every call: for one image that takes longer than some late layers take to compute. And a ReLU
of its own reads and writes the whole map once more. Here weights are laid out once. The results are bit for bit those
of the plain layers, for one image as for many.

Where torch has no such operation, the plain ones are called.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.sources.network import SourceNetwork

NOMINAL_SIZE = 128  # image size for which weights are laid out; others may be given, too
Step = Callable[[Tensor], Tensor]


class FusedSource:
    """Runs VGG-16 on CPU threads, as many as the calling thread has. Threads may share it.

    All layers after the first compute in `dtype`. With `rounded` they compute in float32 and are rounded to `dtype`
    where its arithmetic would round: weights, biases, and what each layer gives.
    Raises RuntimeError where the processor cannot compute in `dtype`.
    """

    def __init__(self, source: SourceNetwork, dtype: torch.dtype = torch.float32, *, rounded: bool = False) -> None:
        self._mean, self._std = source.mean.cpu().float(), source.std.cpu().float()
        self._steps: list[tuple[Step, str | None]] = []
        tap_of_layer = {index: tap for tap, index in source.tap_layers.items()}
        side = NOMINAL_SIZE
        for index, layer in enumerate(source.features):
            if isinstance(layer, nn.Conv2d):
                inside = torch.float32 if index == 0 else dtype
                self._steps.append((_convolution(layer, side, inside, dtype, rounded=rounded), None))
            elif isinstance(layer, nn.MaxPool2d):
                side //= 2
                self._steps.append((_pool, tap_of_layer.get(index)))

    @torch.no_grad()
    def run(self, images: Tensor, taps: dict[str, Tensor]) -> None:
        """(B, 3, S, S) float32 in [0, 1] on the CPU -> into `taps`, tensors of `models.backends.base.empty_taps`.

        No layer after the last of them runs.
        """
        if not taps:
            return
        missing = len(taps)
        hidden = images.sub(self._mean).div_(self._std).contiguous(memory_format=torch.channels_last)
        for step, tap in self._steps:
            hidden = step(hidden)
            if tap is not None and tap in taps:
                taps[tap].copy_(hidden)
                missing -= 1
                if not missing:
                    return


def _pool(maps: Tensor) -> Tensor:
    """2x2 max-pool of channels-last maps of even sides, rows first. In bfloat16 it takes 3/4 of the time of torch's."""
    places = maps.permute(0, 2, 3, 1)
    rows = torch.maximum(places[:, ::2], places[:, 1::2])
    return torch.maximum(rows[:, :, ::2], rows[:, :, 1::2]).permute(0, 3, 1, 2)


def _convolution(layer: nn.Conv2d, side: int, inside: torch.dtype, dtype: torch.dtype, *, rounded: bool) -> Step:
    """3x3 convolution computed in `inside`, and ReLU; what comes out is in `dtype`, or only rounded to it."""
    assert layer.bias is not None
    weight, bias = layer.weight.detach().cpu().to(inside), layer.bias.detach().cpu().to(inside)
    if rounded:
        weight, bias = weight.float(), bias.float()
    convolve = _operation(weight, bias, side)
    if rounded:
        return lambda maps: convolve(maps).to(dtype).float()
    return lambda maps: convolve(maps).to(dtype)


def _operation(weight: Tensor, bias: Tensor, side: int) -> Step:
    ones, inputs = [1, 1], weight.shape[1]
    if not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        plain = weight.contiguous(memory_format=torch.channels_last)
        return lambda maps: functional.conv2d(maps, plain, bias, padding=1).relu_()
    # The two that torch's own compiler puts in a convolution's place; their names have an underscore.
    laid_out = torch.ops.mkldnn._reorder_convolution_weight(weight, ones, ones, ones, 1, [1, inputs, side, side])
    fused = torch.ops.mkldnn._convolution_pointwise
    return lambda maps: fused(maps, laid_out, bias, ones, ones, ones, 1, "relu", [], "")
