"""The source network is torchvision's VGG-16 with taps, frozen, normalising its own input."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.sources.vgg16 import SOURCES, TAP_CHANNELS, TAP_LAYERS, TAP_STRIDES, TAPS, VGG16, SourceNetwork, vgg_layers
from models.sources.weights import convolution_names

SPEC = SOURCES["IMAGENET1K_FEATURES"]


@pytest.fixture(scope="module")
def network() -> SourceNetwork:
    torch.manual_seed(0)
    return SourceNetwork(SPEC)


def test_the_layers_are_torchvisions() -> None:
    vgg = pytest.importorskip("torchvision.models.vgg")
    theirs = vgg.make_layers(vgg.cfgs["D"])
    for ours, other in zip(vgg_layers(VGG16), theirs, strict=True):
        assert type(ours) is type(other)
        if isinstance(ours, nn.Conv2d):
            assert ours.weight.shape == other.weight.shape


def test_the_taps_are_the_last_four_max_pools(network: SourceNetwork) -> None:
    pools = [index for index, layer in enumerate(network.features) if isinstance(layer, nn.MaxPool2d)]
    assert list(TAP_LAYERS.values()) == pools[-4:]


@torch.no_grad()
def test_taps_have_the_channels_and_strides_of_the_table(network: SourceNetwork) -> None:
    found = network(torch.rand(2, 3, 64, 64))
    assert tuple(found) == TAPS
    for tap, tensor in found.items():
        assert tensor.shape == (2, TAP_CHANNELS[tap], 64 // TAP_STRIDES[tap], 64 // TAP_STRIDES[tap])


@torch.no_grad()
def test_a_tap_is_what_torchvisions_features_give_up_to_its_pool(network: SourceNetwork) -> None:
    images = torch.rand(1, 3, 32, 32)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (SPEC.mean, SPEC.std))
    expected = network.features[: TAP_LAYERS["pool3"] + 1]((images - mean) / std)
    assert torch.allclose(network(images)["pool3"], expected)


def test_it_is_frozen_and_stays_in_evaluation_mode(network: SourceNetwork) -> None:
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not network.training


@torch.no_grad()
def test_unit_normalisation_takes_the_image_as_it_is(network: SourceNetwork) -> None:
    unit = SourceNetwork(SPEC, "unit")
    unit.load_canonical({key: value for key, value in network.state_dict().items() if key.startswith("features")})
    images = torch.rand(1, 3, 32, 32)
    shifted = (images - network.mean) / network.std
    assert torch.allclose(unit(shifted)["pool5"], network(images)["pool5"])


def test_means_and_deviations_are_buffers_and_no_part_of_the_weights(network: SourceNetwork) -> None:
    assert {"mean", "std"} <= dict(network.named_buffers()).keys()
    assert all(key.startswith("features.") for key in network.state_dict())


def test_the_convolutions_are_named_as_oxford_and_torchvision_name_them() -> None:
    names = convolution_names()
    assert len(names) == 13
    assert [names[0], names[2], names[-1]] == [
        ("features.0", "conv1_1"),
        ("features.5", "conv2_1"),
        ("features.28", "conv5_3"),
    ]


def test_the_prefixes_are_the_convolutions_of_the_network(network: SourceNetwork) -> None:
    convolutions = [f"features.{n}" for n, layer in enumerate(network.features) if isinstance(layer, nn.Conv2d)]
    assert [prefix for prefix, _ in convolution_names()] == convolutions
