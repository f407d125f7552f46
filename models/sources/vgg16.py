"""The network VGG-16 (Simonyan and Zisserman, ICLR 2015) as far as its last max-pool: 13 convolutions of 3x3.

It is the source S of the paper (Salehi et al., CVPR 2021), whose critical points are the last four max-pools.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from models.sources.architecture import Architecture
from models.sources.registry import VGG16_TAPS

# torchvision's configuration "D": the width of each 3x3 convolution, M for a 2x2 max-pool.
VGG16: tuple[int | str, ...] = (
    *(64, 64, "M", 128, 128, "M", 256, 256, 256, "M"),
    *(512, 512, 512, "M", 512, 512, 512, "M"),
)
# Tap name -> index of its max-pool in torchvision's `vgg16().features`; then what the registry says of it.
TAP_LAYERS: Mapping[str, int] = {"pool2": 9, "pool3": 16, "pool4": 23, "pool5": 30}
TAP_CHANNELS: Mapping[str, int] = {name: tap.channels for name, tap in VGG16_TAPS.items()}
TAP_STRIDES: Mapping[str, int] = {name: tap.stride for name, tap in VGG16_TAPS.items()}
TAPS: tuple[str, ...] = tuple(VGG16_TAPS)


def vgg_layers(widths: Sequence[int | str] = VGG16) -> nn.Sequential:
    """VGG's stack of 3x3 convolutions with bias, ReLU and 2x2 max-pools, numbered as torchvision numbers them."""
    layers: list[nn.Module] = []
    channels = 3
    for width in widths:
        if isinstance(width, str):
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
            channels = width
    return nn.Sequential(*layers)


def convolution_names() -> list[tuple[str, str]]:
    """(torchvision's prefix, Oxford's name) of the 13 convolutions: ("features.0", "conv1_1"), and so on."""
    names, block, conv, layer = [], 1, 1, 0
    for width in VGG16:
        if isinstance(width, str):
            block, conv, layer = block + 1, 1, layer + 1
        else:
            names.append((f"features.{layer}", f"conv{block}_{conv}"))
            conv, layer = conv + 1, layer + 2
    return names


def _state(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix("features."): tensor for name, tensor in tensors.items()}


ARCHITECTURE = Architecture(
    layers=vgg_layers,
    taps=TAP_LAYERS,
    tensor_names=tuple(f"{prefix}.{part}" for prefix, _ in convolution_names() for part in ("weight", "bias")),
    state=_state,
)
