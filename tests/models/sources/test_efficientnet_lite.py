"""EfficientNet-Lite0 is the published network: its layers, its padding, its folded BatchNorms and its weights."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.sources.efficientnet_lite import ARCHITECTURE, Block, SameConvolution, convolution_names
from models.sources.network import build_source
from models.sources.registry import SOURCES
from models.sources.weights import canonical_sha256

SPEC = SOURCES["efficientnet-lite0"]
# Mean and standard deviation of each tap for `gradient()`, by efficientnet_lite_pytorch 0.1.0 on the published weights.
EXPECTED = {
    "stride4": (1.32507, 8.67964),
    "stride8": (-0.26791, 8.60332),
    "stride16": (0.22773, 6.51346),
    "stride32": (0.07313, 2.55758),
}

NORM = ("running_mean", "running_var", "weight", "bias")


def gradient() -> Tensor:
    """(1, 3, 64, 64): brighter to the right in red, downwards in green, along the diagonal in blue."""
    line = torch.linspace(0, 1, 64)
    red, green = line.expand(64, 64), line[:, None].expand(64, 64)
    return torch.stack([red, green, (red + green) / 2])[None]


def random_tensors(seed: int = 0) -> dict[str, Tensor]:
    """Tensors with the published names and shapes; variances are positive."""
    generator = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        layers = ARCHITECTURE.layers()
    convolutions = [layer for layer in layers.modules() if isinstance(layer, nn.Conv2d)]
    found: dict[str, Tensor] = {}
    for layer, (convolution, norm) in zip(convolutions, convolution_names(), strict=True):
        fan_in = layer.weight[0].numel()
        found[f"{convolution}.weight"] = torch.randn(layer.weight.shape, generator=generator) / fan_in**0.5
        for part in ("weight", "bias", "running_mean"):
            found[f"{norm}.{part}"] = torch.randn(layer.out_channels, generator=generator)
        found[f"{norm}.running_var"] = torch.rand(layer.out_channels, generator=generator) + 0.1
    return found


@torch.no_grad()
def test_the_folded_network_is_convolution_and_batchnorm_one_after_the_other() -> None:
    tensors, images = random_tensors(), torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    found = build_source(SPEC, "unit", tensors)(images, ["stride8"])["stride8"]

    def layer(maps: Tensor, convolution: str, norm: str, stride: int = 1) -> Tensor:
        weight = tensors[f"{convolution}.weight"]
        side, kernel = maps.shape[-1], weight.shape[-1]
        around = max((-(-side // stride) - 1) * stride + kernel - side, 0)  # TensorFlow's SAME
        padded = functional.pad(maps, [around // 2, around - around // 2] * 2)
        groups = maps.shape[1] if "depthwise" in convolution else 1
        mean, variance, scale, shift = (tensors[f"{norm}.{part}"] for part in NORM)
        found = functional.conv2d(padded, weight, stride=stride, groups=groups)
        return functional.batch_norm(found, mean, variance, scale, shift, eps=1e-3)

    hidden = functional.relu6(layer(images, "_conv_stem", "_bn0", 2))
    for block, stride in enumerate((1, 2, 1, 2, 1)):
        stem, before = f"_blocks.{block}.", hidden
        if block > 0:
            hidden = functional.relu6(layer(hidden, f"{stem}_expand_conv", f"{stem}_bn0"))
        hidden = functional.relu6(layer(hidden, f"{stem}_depthwise_conv", f"{stem}_bn1", stride))
        hidden = layer(hidden, f"{stem}_project_conv", f"{stem}_bn2")
        if before.shape == hidden.shape:
            hidden = hidden + before
    assert torch.allclose(found, hidden, atol=1e-4 * float(hidden.abs().max()))


@pytest.mark.parametrize(("kernel", "before"), [(3, 0), (5, 1)])
def test_with_stride_2_a_pixel_less_is_padded_before_than_after(kernel: int, before: int) -> None:
    layer = SameConvolution(1, 1, kernel, stride=2).requires_grad_(False)
    layer.weight.fill_(0)
    layer.bias.fill_(0)  # type: ignore[union-attr]
    layer.weight[0, 0, 0, 0] = 1  # the output is the input, moved by what was padded before
    maps = torch.arange(1.0, 65).view(1, 1, 8, 8)
    expected = functional.pad(maps, [before, 0, before, 0])[..., :8:2, :8:2]
    assert torch.equal(layer(maps), expected)


def test_only_blocks_that_keep_size_and_channels_add_their_input() -> None:
    assert Block(8, 8, 3, 1, 6).adds
    assert not Block(8, 8, 3, 2, 6).adds
    assert not Block(8, 12, 3, 1, 6).adds


def test_its_input_is_255_x_minus_127_over_128() -> None:
    network = build_source(SPEC, "source", random_tensors())
    images = torch.tensor([0.0, 0.5, 1.0])
    assert torch.allclose((images - network.mean[0, :, 0]) / network.std[0, :, 0], (255 * images - 127) / 128)


def test_the_published_weights_are_these(lite0_weights: Mapping[str, Tensor]) -> None:
    assert sum(tensor.numel() * 4 for tensor in lite0_weights.values()) == 11_993_216
    assert canonical_sha256(SPEC, lite0_weights) == SPEC.weights.sha256
    assert SPEC.weights.sha256 == "8e842f0f15ec0e23aa38b25cab391f9b5600d80b4613a07c73cd575a6003993e"


@torch.no_grad()
def test_the_taps_are_those_of_the_publishers_code(lite0_weights: Mapping[str, Tensor]) -> None:
    found = build_source(SPEC, "source", lite0_weights)(gradient())
    for tap, (mean, deviation) in EXPECTED.items():
        assert float(found[tap].mean()) == pytest.approx(mean, abs=1e-3 * deviation)
        assert float(found[tap].std()) == pytest.approx(deviation, rel=1e-3)
