"""The cloner's shapes and sizes, and that folding its BatchNorm away changes nothing."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.heads.mkd.cloner import Cloner, ClonerInput, ClonerSize, fold_batchnorm, folded_cloner
from models.sources.registry import SOURCES

VGG16 = SOURCES["vgg16"]
TAPS = tuple(VGG16.taps)


def trained(batchnorm: bool = True, input_range: ClonerInput = "centred") -> Cloner:
    """A cloner whose BatchNorm has statistics and gains unlike those it was born with."""
    torch.manual_seed(0)
    cloner = Cloner("small", TAPS, VGG16, batchnorm=batchnorm, input_range=input_range)
    for module in cloner.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.3, 3)
    return cloner.eval()


@pytest.mark.parametrize("size", ["small", "equal"])
@torch.no_grad()
def test_every_tap_has_the_shape_of_the_sources(size: ClonerSize) -> None:
    outputs = Cloner(size, TAPS, VGG16)(torch.rand(2, 3, 64, 64))
    for tap, output in zip(TAPS, outputs, strict=True):
        assert output.shape == (2, VGG16.taps[tap].channels, *[64 // VGG16.taps[tap].stride] * 2)


def test_the_small_cloner_is_the_papers_344_thousand_parameters() -> None:
    """With the reference code's BatchNorm; see the design notes."""
    assert round(sum(p.numel() for p in Cloner("small", TAPS, VGG16).parameters()) / 1000) == 344


def test_convolutions_have_no_bias_and_the_last_of_a_block_no_batchnorm() -> None:
    cloner = Cloner("small", TAPS, VGG16)
    assert all(module.bias is None for module in cloner.modules() if isinstance(module, nn.Conv2d))
    for block in cloner.blocks:
        kinds = [type(layer) for layer in block.children()]
        assert kinds[-3:] == [nn.Conv2d, nn.MaxPool2d, nn.ReLU]
        assert kinds.count(nn.BatchNorm2d) == kinds.count(nn.Conv2d) - 1


@pytest.mark.parametrize("input_range", ["centred", "unit"])
@torch.no_grad()
def test_folding_gives_the_same_function(input_range: ClonerInput) -> None:
    cloner = trained(input_range=input_range).double()
    folded = fold_batchnorm(cloner)
    images = torch.rand(3, 3, 32, 32, dtype=torch.float64)
    for before, after in zip(cloner(images), folded.double()(images), strict=True):
        # Folded weights are kept in float32, as the artifact keeps them.
        assert torch.allclose(before, after, rtol=1e-4, atol=1e-5)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())


@torch.no_grad()
def test_a_folded_cloner_is_loaded_from_its_tensors() -> None:
    folded = fold_batchnorm(trained())
    empty = folded_cloner("small", TAPS, VGG16, input_range="centred")
    empty.load_state_dict(folded.state_dict())
    images = torch.rand(1, 3, 32, 32)
    assert all(torch.equal(a, b) for a, b in zip(folded(images), empty(images), strict=True))


def test_a_folded_cloner_is_frozen() -> None:
    assert not any(parameter.requires_grad for parameter in fold_batchnorm(trained()).parameters())


@torch.no_grad()
def test_taps_come_in_the_order_asked_and_deeper_blocks_are_left_out() -> None:
    cloner = Cloner("small", ("pool3", "pool2"), VGG16)
    assert len(cloner.blocks) == 3
    third, second = cloner(torch.rand(1, 3, 32, 32))
    assert (third.shape[1], second.shape[1]) == (VGG16.taps["pool3"].channels, VGG16.taps["pool2"].channels)


@torch.no_grad()
def test_the_input_range_is_part_of_the_network() -> None:
    torch.manual_seed(0)
    centred = Cloner("small", ("pool2",), VGG16, batchnorm=False, input_range="centred").eval()
    torch.manual_seed(0)
    unit = Cloner("small", ("pool2",), VGG16, batchnorm=False, input_range="unit").eval()
    images = torch.rand(1, 3, 32, 32)
    assert torch.allclose(centred(images)[0], unit((images - 0.5) * 4)[0], atol=1e-6)


@torch.no_grad()
def test_a_cloner_of_another_source_has_its_shapes_and_signs() -> None:
    lite = SOURCES["efficientnet-lite0"]
    torch.manual_seed(0)
    outputs = Cloner("small", tuple(lite.taps), lite)(torch.rand(2, 3, 64, 64))
    for tap, output in zip(lite.taps.values(), outputs, strict=True):
        assert output.shape == (2, tap.channels, 64 // tap.stride, 64 // tap.stride)
        assert float(output.min()) < 0, "its source's activations have both signs"
    with pytest.raises(ValueError, match="vgg16 only"):
        Cloner("equal", tuple(lite.taps), lite)
