"""Names a set of VGG-16 weights and gives the frozen source network with its taps.

The source S of the paper (Salehi et al., CVPR 2021) is VGG-16 trained on ImageNet; its critical points are the outputs
of the last four max-pool layers. Where the weights come from is the business of `models.sources.weights`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

Normalisation = Literal["source", "unit"]
Precision = Literal["float32", "bfloat16"]
Activations = Mapping[str, Tensor]  # tap name -> (B, C, S/stride, S/stride)

# torchvision's configuration "D": the width of each 3x3 convolution, M for a 2x2 max-pool.
VGG16: tuple[int | str, ...] = (
    *(64, 64, "M", 128, 128, "M", 256, 256, 256, "M"),
    *(512, 512, 512, "M", 512, 512, 512, "M"),
)
# Tap name -> index of its max-pool in torchvision's `vgg16().features`, and its number of channels and stride.
TAP_LAYERS: Mapping[str, int] = {"pool2": 9, "pool3": 16, "pool4": 23, "pool5": 30}
TAP_CHANNELS: Mapping[str, int] = {"pool2": 128, "pool3": 256, "pool4": 512, "pool5": 512}
TAP_STRIDES: Mapping[str, int] = {"pool2": 4, "pool3": 8, "pool4": 16, "pool5": 32}
TAPS: tuple[str, ...] = tuple(TAP_LAYERS)


@dataclass(frozen=True)
class SourceSpec:
    """One published set of weights: its own normalisation of RGB in [0, 1], and its checks.

    `sha256` is over weight then bias of conv1_1 .. conv5_3 as float32 little-endian in RGB order, or None where the
    publisher's file has never been at hand to compute it; `file_sha256_prefix` is the one in the publisher's file name.
    """

    name: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    sha256: str | None
    file_sha256_prefix: str
    url: str
    licence: str


SOURCES: Mapping[str, SourceSpec] = {
    spec.name: spec
    for spec in (
        SourceSpec(
            name="IMAGENET1K_FEATURES",
            mean=(0.48235, 0.45882, 0.40784),
            std=(1 / 255, 1 / 255, 1 / 255),
            sha256="25d244c5fdb86c278c3442bce00783954c822e6564e34bea523f31bddfdcc4d1",
            file_sha256_prefix="88682ab5",
            url="https://download.pytorch.org/models/vgg16_features-amdegroot-88682ab5.pth",
            licence="CC BY 4.0, Karen Simonyan and Andrew Zisserman, Visual Geometry Group, University of Oxford",
        ),
        SourceSpec(
            name="IMAGENET1K_V1",
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
            sha256=None,
            file_sha256_prefix="397923af",
            url="https://download.pytorch.org/models/vgg16-397923af.pth",
            licence="BSD-3-Clause, torchvision",
        ),
    )
}


def vgg_layers(widths: Sequence[int | str]) -> nn.Sequential:
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


class SourceNetwork(nn.Module):
    """Frozen VGG-16 features with taps. Input: (B, 3, S, S) float RGB in [0, 1]; S a multiple of 32."""

    mean: Tensor
    std: Tensor

    def __init__(self, spec: SourceSpec, normalisation: Normalisation = "source") -> None:
        super().__init__()
        self.spec = spec
        self.normalisation = normalisation
        mean, std = (spec.mean, spec.std) if normalisation == "source" else ((0.0,) * 3, (1.0,) * 3)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.features = vgg_layers(VGG16)
        self.requires_grad_(False)
        self.eval()

    def load_canonical(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes the tensors of `source_weights.load_source_weights`, named `features.N.weight` and `.bias`."""
        self.load_state_dict(dict(tensors))

    def lower(self, precision: Precision) -> None:
        """With "bfloat16" all layers after the first (conv1_1) compute in it from now on; taps come out in it, too.

        The picture itself stays float32 that far: rounding the input costs twice as much of the scores' exactness as
        all roundings behind it.
        """
        if precision == "bfloat16":
            self.features[1:].to(torch.bfloat16)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, S, S) in [0, 1] -> the activations of every tap by name."""
        found: dict[str, Tensor] = {}
        tap_of_layer = {index: tap for tap, index in TAP_LAYERS.items()}
        hidden = (images - self.mean) / self.std
        for index, layer in enumerate(self.features):
            if index == 1:
                hidden = hidden.to(next(self.features[2].parameters()).dtype)  # see `lower`
            hidden = layer(hidden)
            if index in tap_of_layer:
                found[tap_of_layer[index]] = hidden
        return found
