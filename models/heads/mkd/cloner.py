"""A size in, a trainable cloner network out: the small copy of the source that learns normal images only.

Widths are the paper's ("16-16-M-16-128-M-..."), tap outputs have the source's shapes. As in the reference code every
convolution but the last of a block is followed by BatchNorm while training; `fold_batchnorm` turns the trained
network into plain convolutions with bias, which is what the artifact holds and the service runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from models.sources.vgg16 import TAP_LAYERS, VGG16

ClonerSize = Literal["small", "equal"]
ClonerInput = Literal["centred", "unit"]

# Widths of each 3x3 convolution, M for a 2x2 max-pool (paper, section 4.1; "equal" is the source's own size, Table 7).
CLONERS: Mapping[str, tuple[int | str, ...]] = {
    "small": (16, 16, "M", 16, 128, "M", 16, 16, 256, "M", 16, 16, 512, "M", 16, 16, 512, "M"),
    "equal": VGG16,
}
_POOL_OF_TAP = {tap: number for number, tap in enumerate(TAP_LAYERS, start=2)}


class Cloner(nn.Module):
    """(B, 3, S, S) float RGB in [0, 1] -> one activation tensor per tap, shaped as the source's."""

    shift: Tensor
    scale: Tensor

    def __init__(
        self, size: ClonerSize, taps: Sequence[str], *, batchnorm: bool = True, input_range: ClonerInput = "centred"
    ) -> None:
        super().__init__()
        self.taps = tuple(taps)
        last_pool = max(_POOL_OF_TAP[tap] for tap in taps)
        self.blocks = _blocks(CLONERS[size], batchnorm)[:last_pool]
        # "centred": roughly zero mean and unit variance for photographs; "unit": the reference code's plain [0, 1].
        shift, scale = (0.5, 4.0) if input_range == "centred" else (0.0, 1.0)
        self.register_buffer("shift", torch.tensor(shift), persistent=False)
        self.register_buffer("scale", torch.tensor(scale), persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, S, S) in [0, 1] -> one tensor per tap, in the order of `taps`."""
        found: dict[int, Tensor] = {}
        hidden = (images - self.shift) * self.scale
        for number, block in enumerate(self.blocks, start=1):
            hidden = block(hidden)
            found[number] = hidden
        return [found[_POOL_OF_TAP[tap]] for tap in self.taps]


def _blocks(widths: Sequence[int | str], batchnorm: bool) -> nn.ModuleList:
    """One Sequential per block of convolutions and its max-pool."""
    blocks: list[nn.Module] = []
    layers: list[nn.Module] = []
    channels = 3
    for index, width in enumerate(widths):
        if isinstance(width, str):
            # Pool, then ReLU: the same numbers as in the other order, and a quarter of them to pass on and back.
            blocks.append(nn.Sequential(*layers[:-1], nn.MaxPool2d(2), layers[-1]))
            layers = []
            continue
        last_of_block = isinstance(widths[index + 1], str)
        layers.append(nn.Conv2d(channels, width, 3, padding=1, bias=False))
        if batchnorm and not last_of_block:
            layers.append(nn.BatchNorm2d(width))
        layers.append(nn.ReLU(inplace=True))
        channels = width
    return nn.ModuleList(blocks)


def fold_batchnorm(cloner: Cloner) -> Cloner:
    """The same function without BatchNorm layers: each is folded into the convolution before it (inference only)."""
    folded = Cloner.__new__(Cloner)
    nn.Module.__init__(folded)
    folded.taps = cloner.taps
    folded.register_buffer("shift", cloner.shift.clone(), persistent=False)
    folded.register_buffer("scale", cloner.scale.clone(), persistent=False)
    folded.blocks = nn.ModuleList(_folded_block(block) for block in cloner.blocks)
    return folded.eval().requires_grad_(False)


def folded_cloner(size: ClonerSize, taps: Sequence[str], *, input_range: ClonerInput) -> Cloner:
    """An empty cloner of plain convolutions with bias, to load the artifact's tensors into."""
    return fold_batchnorm(Cloner(size, taps, batchnorm=False, input_range=input_range))


def _folded_block(block: nn.Module) -> nn.Sequential:
    layers: list[nn.Module] = []
    for layer in block.children():
        if isinstance(layer, nn.Conv2d):
            conv = nn.Conv2d(layer.in_channels, layer.out_channels, 3, padding=1)
            conv.weight.data.copy_(layer.weight.data)
            assert conv.bias is not None
            conv.bias.data.zero_() if layer.bias is None else conv.bias.data.copy_(layer.bias.data)
            layers.append(conv)
        elif isinstance(layer, nn.BatchNorm2d):
            conv = layers[-1]  # type: ignore[assignment]
            assert isinstance(conv, nn.Conv2d)
            assert conv.bias is not None
            assert layer.running_var is not None
            assert layer.running_mean is not None
            gain = layer.weight.data / torch.sqrt(layer.running_var + layer.eps)
            conv.weight.data.mul_(gain.view(-1, 1, 1, 1))
            conv.bias.data.copy_(layer.bias.data - layer.running_mean * gain)
        elif isinstance(layer, nn.ReLU):
            layers.append(nn.ReLU(inplace=True))
        else:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)
