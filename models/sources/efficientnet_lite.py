"""The network EfficientNet-Lite0 as far as its last block: a 42nd of the multiply-adds of VGG-16.

EfficientNet (Tan and Le, ICML 2019) without squeeze-and-excitation and with ReLU6, as published in
`tensorflow/tpu/models/official/efficientnet/lite`. A block widens its maps by a 1x1 convolution, filters each channel
by itself (depthwise), and narrows them by a 1x1 convolution without an activation; where sizes fit, it adds its input.

The published BatchNorms are folded into the convolutions before them, computed in float64:

    w' = w g / sqrt(v + 1e-3)        b' = b - m g / sqrt(v + 1e-3)        g, b, m, v: scale, shift, mean, variance

Compared once with `efficientnet_lite_pytorch` 0.1.0, the code that belongs to the published file, at 224 px on six
images: the taps differ by at most 4e-5 of their RMS, the class scores of its head on top of `stride32` by 1.2e-5.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.sources.architecture import Architecture, UsualOutputs

STEM = 32  # channels of the first convolution
# (blocks, kernel, stride of the first, how much a block widens, channels that come out)
GROUPS: tuple[tuple[int, int, int, int, int], ...] = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
BATCHNORM_EPSILON = 1e-3


class SameConvolution(nn.Conv2d):
    """A convolution padded as TensorFlow's SAME does it: with stride 2 on even sides one pixel less before than after.

    Sides must be even where the stride is 2.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, (kernel - 1) // 2 if stride == 1 else 0, groups=groups)
        self._around = [(kernel - 2) // 2, (kernel - 1) // 2] * 2 if stride == 2 else None

    def forward(self, maps: Tensor) -> Tensor:
        """(B, inputs, S, S) -> (B, outputs, S/stride, S/stride)."""
        return super().forward(maps if self._around is None else functional.pad(maps, self._around))


class Block(nn.Module):
    """Widen, filter each channel, narrow; plus the input where stride and channels allow it."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, widening: int) -> None:
        super().__init__()
        inner = inputs * widening
        layers: list[nn.Module] = []
        if widening > 1:
            layers += [SameConvolution(inputs, inner, 1), nn.ReLU6(inplace=True)]
        layers += [SameConvolution(inner, inner, kernel, stride, groups=inner), nn.ReLU6(inplace=True)]
        layers.append(SameConvolution(inner, outputs, 1))
        self.layers = nn.Sequential(*layers)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, maps: Tensor) -> Tensor:
        """(B, inputs, S, S) -> (B, outputs, S/stride, S/stride)."""
        found: Tensor = self.layers(maps)
        return found + maps if self.adds else found


def efficientnet_lite0_layers() -> nn.Sequential:
    """The stem, then the 16 blocks. Input sides must be multiples of 32."""
    layers: list[nn.Module] = [nn.Sequential(SameConvolution(3, STEM, 3, stride=2), nn.ReLU6(inplace=True))]
    channels = STEM
    for blocks, kernel, stride, widening, outputs in GROUPS:
        for number in range(blocks):
            layers.append(Block(channels, outputs, kernel, stride if number == 0 else 1, widening))
            channels = outputs
    return nn.Sequential(*layers)


def convolution_names() -> Iterator[tuple[str, str]]:
    """The published names of each convolution and of the BatchNorm after it, in order."""
    yield "_conv_stem", "_bn0"
    block = 0
    for blocks, _, _, widening, _ in GROUPS:
        for _ in range(blocks):
            if widening > 1:
                yield f"_blocks.{block}._expand_conv", f"_blocks.{block}._bn0"
            yield f"_blocks.{block}._depthwise_conv", f"_blocks.{block}._bn1"
            yield f"_blocks.{block}._project_conv", f"_blocks.{block}._bn2"
            block += 1


def _places() -> list[str]:
    """The convolutions' names in `efficientnet_lite0_layers`, in order."""
    with torch.device("meta"):
        return [name for name, layer in efficientnet_lite0_layers().named_modules() if isinstance(layer, nn.Conv2d)]


def _usual_outputs(tensors: Mapping[str, Tensor]) -> UsualOutputs:
    """A BatchNorm's shift and scale are mean and deviation of what it gave in training."""
    return {
        place: (tensors[f"{norm}.bias"].double(), tensors[f"{norm}.weight"].double().abs())
        for place, (_, norm) in zip(_places(), convolution_names(), strict=True)
    }


def _folded(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for place, (convolution, norm) in zip(_places(), convolution_names(), strict=True):
        scale, shift, mean, variance = (tensors[f"{norm}.{part}"].double() for part in NORM_PARTS)
        factor = scale / (variance + BATCHNORM_EPSILON).sqrt()
        state[f"{place}.weight"] = (tensors[f"{convolution}.weight"].double() * factor.view(-1, 1, 1, 1)).float()
        state[f"{place}.bias"] = (shift - mean * factor).float()
    return state


NORM_PARTS = ("weight", "bias", "running_mean", "running_var")
ARCHITECTURE = Architecture(
    layers=efficientnet_lite0_layers,
    taps={"stride4": 3, "stride8": 5, "stride16": 11, "stride32": 16},
    tensor_names=tuple(
        name
        for convolution, norm in convolution_names()
        for name in (f"{convolution}.weight", *(f"{norm}.{part}" for part in NORM_PARTS))
    ),
    state=_folded,
    usual_outputs=_usual_outputs,
)
