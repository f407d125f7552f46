"""VGG-16 as a source is torchvision's network with taps, frozen, normalising its own input."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.sources.network import SourceNetwork, build_source
from models.sources.registry import SOURCES
from models.sources.vgg16 import TAP_LAYERS, VGG16, convolution_names, vgg_layers

SPEC = SOURCES["vgg16"]


@pytest.fixture(scope="module")
def network() -> SourceNetwork:
    torch.manual_seed(0)
    return SourceNetwork(SPEC, "source", vgg_layers())


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
    unit = build_source(SPEC, "unit", network.state_dict())
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


@torch.no_grad()
def test_no_layer_behind_the_last_wanted_tap_runs(network: SourceNetwork) -> None:
    ran: list[int] = []
    hooks = [
        layer.register_forward_hook(lambda *_, index=index: ran.append(index))
        for index, layer in enumerate(network.features)
    ]
    images = torch.rand(1, 3, 32, 32)
    found = network(images, ["pool4", "pool2"])
    for hook in hooks:
        hook.remove()
    assert list(found) == ["pool2", "pool4"]
    assert ran == list(range(TAP_LAYERS["pool4"] + 1))
    everything = network(images)
    assert all(torch.equal(found[tap], everything[tap]) for tap in found)
    assert network(images, []) == {}


def test_a_network_shares_the_memory_of_its_weights(network: SourceNetwork) -> None:
    tensors = network.state_dict()
    built = build_source(SPEC, "source", tensors)
    name, parameter = next(built.named_parameters())
    assert parameter.data_ptr() == tensors[name].data_ptr()
    assert not any(parameter.requires_grad for parameter in built.parameters())
