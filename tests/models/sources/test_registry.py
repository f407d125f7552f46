"""The table of sources is true: names old and new, what it says of the taps, and what a pass to each of them costs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.sources.network import ARCHITECTURES, SourceNetwork, multiply_adds
from models.sources.registry import DEFAULT_SOURCE, SOURCES, SourceSpec, spec_of

ROOT = Path(__file__).parents[3]
EVERY = pytest.mark.parametrize("spec", SOURCES.values(), ids=list(SOURCES))


def untrained(spec: SourceSpec) -> SourceNetwork:
    torch.manual_seed(0)
    return SourceNetwork(spec, "source", ARCHITECTURES[spec.architecture].layers())


def test_a_source_is_found_by_its_name_and_by_the_one_of_the_first_release() -> None:
    assert [spec_of(name).name for name in SOURCES] == ["vgg16", "vgg16-torchvision", "efficientnet-lite0"]
    assert spec_of("IMAGENET1K_FEATURES").name == DEFAULT_SOURCE == "vgg16"
    assert spec_of("IMAGENET1K_V1").name == "vgg16-torchvision"


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'resnet18'; there are vgg16, vgg16-torchvision, efficientnet-lite0"):
        spec_of("resnet18")


@EVERY
def test_wanted_taps_come_in_order_of_depth_and_each_once(spec: SourceSpec) -> None:
    assert spec.wanted() == tuple(spec.taps)
    assert spec.wanted([*reversed(list(spec.taps)), *spec.taps]) == tuple(spec.taps)
    assert spec.wanted([]) == ()
    with pytest.raises(ValueError, match=f"{spec.name} has no tap 'relu9'; it has {', '.join(spec.taps)}"):
        spec.wanted(["relu9"])


@EVERY
def test_the_table_says_what_the_taps_are(spec: SourceSpec) -> None:
    with torch.no_grad():
        found = untrained(spec)(torch.rand(2, 3, 64, 64))
    assert list(found) == list(spec.taps)
    for name, tap in spec.taps.items():
        assert tap.name == name
        assert found[name].shape == (2, tap.channels, 64 // tap.stride, 64 // tap.stride)
        assert bool((found[name] < 0).any()) == tap.signed


@EVERY
def test_the_table_says_which_share_of_the_multiply_adds_a_tap_costs(spec: SourceSpec) -> None:
    counts = multiply_adds(spec, 224)
    whole = max(counts.values())
    assert {name: tap.cost for name, tap in spec.taps.items()} == {
        name: pytest.approx(count / whole, abs=5e-4) for name, count in counts.items()
    }
    assert list(counts.values()) == sorted(counts.values())


def test_multiply_adds_are_those_that_are_published() -> None:
    assert multiply_adds(SOURCES["vgg16"], 224)["pool5"] == 15_346_630_656  # 15.5 G with the classifier
    assert multiply_adds(SOURCES["efficientnet-lite0"], 224)["stride32"] == 363_837_152  # 407 M with the classifier


@EVERY
def test_the_page_of_the_method_and_the_notice_tell_of_every_source(spec: SourceSpec) -> None:
    row = next(
        line for line in (ROOT / "docs/method.md").read_text().splitlines() if line.startswith(f"| `{spec.name}`")
    )
    told = [f"`{tap.name}` ({tap.stride}, {tap.channels})" for tap in spec.taps.values()]
    assert all(words in row for words in told) or "as above" in row
    if spec.weights.carrier is not None:
        assert f"{spec.weights.carrier.distribution} {spec.weights.carrier.version}" in (ROOT / "NOTICE").read_text()
