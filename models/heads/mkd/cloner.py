"""The cloner: a small trainable network that learns to give the source's activations on good images only.

Widths are the paper's ("16-16-M-16-128-M-..."), tap outputs have the source's shapes. As in the reference code every
convolution but the last of a block is followed by BatchNorm while training; `fold_batchnorm` turns the trained
network into plain convolutions with bias, which is what the artifact holds and the service runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from models.sources.registry import SourceSpec

ClonerSize = Literal["small", "equal", "none"]
ClonerInput = Literal["centred", "unit"]
NARROW = 16  # channels of the small cloner inside a block (paper, section 4.1)
WITHOUT_TAP = 16  # channels at the end of a block that no tap of the source belongs to


class NoCloner(nn.Module):
    """Answers zero at every tap and has no weights: what is left is a method on the source's activations alone."""

    def __init__(self, taps: Sequence[str], source: SourceSpec) -> None:
        super().__init__()
        self._taps = [source.taps[tap] for tap in taps]

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, S, S) -> zeros in the shapes of the source's taps."""
        zero, size = images.new_zeros(()), images.shape[-1]
        return [zero.expand(len(images), tap.channels, size // tap.stride, size // tap.stride) for tap in self._taps]


def block_widths(size: ClonerSize, source: SourceSpec) -> list[list[int]]:
    """The convolutions' channels of each block; block k ends at stride 2^k with the channels of the source's tap there.

    "small" is the paper's cloner, "equal" has the source's own size (Table 7), for VGG-16 only. Raises ValueError.
    """
    ends = {tap.stride: tap.channels for tap in source.taps.values()}
    strides = [2**number for number in range(1, max(ends).bit_length())]
    if size == "small":
        inside = [1 if stride <= 4 else 2 for stride in strides]
        return [
            [NARROW] * count + [ends.get(stride, WITHOUT_TAP)] for count, stride in zip(inside, strides, strict=True)
        ]
    if source.architecture != "vgg16":
        raise ValueError(f"a cloner of equal size is there for vgg16 only, not for {source.name}")
    return [[64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3]


class Cloner(nn.Module):
    """(B, 3, S, S) float RGB in [0, 1] -> one activation tensor per tap, shaped as the source's."""

    shift: Tensor
    scale: Tensor

    def __init__(
        self,
        size: ClonerSize,
        taps: Sequence[str],
        source: SourceSpec,
        *,
        batchnorm: bool = True,
        input_range: ClonerInput = "centred",
    ) -> None:
        super().__init__()
        self.taps = tuple(taps)
        self._ends = [source.taps[tap].stride.bit_length() - 1 for tap in taps]
        signed = {tap.stride.bit_length() - 1 for tap in source.taps.values() if tap.signed}
        widths = block_widths(size, source)[: max(self._ends)]
        self.blocks = _blocks(widths, signed, batchnorm)
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
        return [found[end] for end in self._ends]


def _blocks(widths: Sequence[Sequence[int]], signed: set[int], batchnorm: bool) -> nn.ModuleList:
    """One Sequential per block of convolutions and its max-pool; those of `signed` numbers end without a ReLU."""
    blocks: list[nn.Module] = []
    channels = 3
    for number, block in enumerate(widths, start=1):
        layers: list[nn.Module] = []
        for width in block[:-1]:
            layers.append(nn.Conv2d(channels, width, 3, padding=1, bias=False))
            layers += [nn.BatchNorm2d(width)] if batchnorm else []
            layers.append(nn.ReLU(inplace=True))
            channels = width
        layers += [nn.Conv2d(channels, block[-1], 3, padding=1, bias=False), nn.MaxPool2d(2)]
        # Pool, then ReLU: the same numbers as in the other order, and a quarter of them to pass on and back.
        layers += [] if number in signed else [nn.ReLU(inplace=True)]
        blocks.append(nn.Sequential(*layers))
        channels = block[-1]
    return nn.ModuleList(blocks)


def fold_batchnorm(cloner: Cloner) -> Cloner:
    """The same function without BatchNorm layers: each is folded into the convolution before it (inference only)."""
    folded = Cloner.__new__(Cloner)
    nn.Module.__init__(folded)
    folded.taps = cloner.taps
    folded._ends = cloner._ends
    folded.register_buffer("shift", cloner.shift.clone(), persistent=False)
    folded.register_buffer("scale", cloner.scale.clone(), persistent=False)
    folded.blocks = nn.ModuleList(_folded_block(block) for block in cloner.blocks)
    return folded.eval().requires_grad_(False)


def folded_cloner(
    size: ClonerSize, taps: Sequence[str], source: SourceSpec, *, input_range: ClonerInput
) -> Cloner | NoCloner:
    """An empty cloner of plain convolutions with bias, to load the artifact's tensors into."""
    if size == "none":
        return NoCloner(taps, source)
    return fold_batchnorm(Cloner(size, taps, source, batchnorm=False, input_range=input_range))


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
