"""The frozen source network with its taps: images in, the activations of the wanted taps out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import islice

import torch
from torch import Tensor, nn

from models.sources import efficientnet_lite, vgg16
from models.sources.architecture import Architecture, UsualOutputs
from models.sources.registry import Normalisation, Precision, SourceSpec

ARCHITECTURES: Mapping[str, Architecture] = {
    "vgg16": vgg16.ARCHITECTURE,
    "efficientnet-lite0": efficientnet_lite.ARCHITECTURE,
}


class SourceNetwork(nn.Module):
    """A source's layers behind its normalisation. Input: (B, 3, S, S) float RGB in [0, 1]; S a multiple of 32."""

    mean: Tensor
    std: Tensor

    def __init__(self, spec: SourceSpec, normalisation: Normalisation, features: nn.Sequential) -> None:
        super().__init__()
        self.spec = spec
        self.usual_outputs: UsualOutputs = {}
        self.tap_layers = ARCHITECTURES[spec.architecture].taps
        mean, std = (spec.mean, spec.std) if normalisation == "source" else ((0.0,) * 3, (1.0,) * 3)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.features = features
        self.requires_grad_(False)
        self.eval()

    def lower(self, precision: Precision) -> None:
        """With "bfloat16" all layers after the first compute in it from now on; taps come out in it, too.

        The picture itself stays float32 that far: rounding the input costs twice as much of the scores' exactness as
        all roundings behind it.
        """
        if precision == "bfloat16":
            self.features[1:].to(torch.bfloat16)

    def forward(self, images: Tensor, taps: Collection[str] | None = None) -> dict[str, Tensor]:
        """(B, 3, S, S) in [0, 1] -> the activations of those taps by name, of all for None.

        No layer after the last wanted one runs. Raises ValueError for a tap that the source does not have.
        """
        wanted = {self.tap_layers[tap]: tap for tap in self.spec.wanted(taps)}
        found: dict[str, Tensor] = {}
        if not wanted:
            return found
        hidden = (images - self.mean) / self.std
        for index, layer in enumerate(islice(self.features, max(wanted) + 1)):
            if index == 1:
                hidden = hidden.to(self._inner_dtype())  # see `lower`
            hidden = layer(hidden)
            if index in wanted:
                found[wanted[index]] = hidden
        return found

    def _inner_dtype(self) -> torch.dtype:
        return next(part.dtype for layer in islice(self.features, 1, None) for part in layer.parameters())


def build_source(spec: SourceSpec, normalisation: Normalisation, tensors: Mapping[str, Tensor]) -> SourceNetwork:
    """The network of `models.sources.weights.load_source_weights`' tensors, whose memory it shares where it can."""
    architecture = ARCHITECTURES[spec.architecture]
    with torch.device("meta"):  # random first weights would only be thrown away
        features = architecture.layers()
    features.load_state_dict(architecture.state(tensors), assign=True)
    network = SourceNetwork(spec, normalisation, features)
    if architecture.usual_outputs is not None:
        network.usual_outputs = architecture.usual_outputs(tensors)
    return network


def has_int8(spec: SourceSpec) -> bool:
    """Whether it is known how far the source's activations reach, without any picture."""
    return bool(spec.ranges) or ARCHITECTURES[spec.architecture].usual_outputs is not None


def multiply_adds(spec: SourceSpec, size: int) -> dict[str, int]:
    """Tap -> the multiply-adds of all convolutions up to it, for one image of `size` pixels a side."""
    with torch.device("meta"):
        network = SourceNetwork(spec, "unit", ARCHITECTURES[spec.architecture].layers())
        images = torch.empty(1, 3, size, size)
    total = 0

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d)
        total += output.numel() * layer.weight[0].numel()

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(count)
    found: dict[str, int] = {}
    for tap in spec.taps:
        total = 0
        network(images, [tap])
        found[tap] = total
    return found
