"""Every backend gives exactly the taps that are asked for, and runs no layer behind the last of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

from models.backends import fused, ncnn_backend, winograd_backend
from models.backends.base import KeepsMemory, SourceBackend
from models.backends.bfloat16_backend import Bfloat16Backend
from models.backends.by_size import BySize
from models.backends.ncnn_backend import NcnnBackend
from models.backends.torch_backend import TorchBackend
from models.backends.winograd import Scratch, WinogradConvolution
from models.backends.winograd_backend import WinogradBackend
from models.sources.network import SourceNetwork, build_source
from models.sources.registry import SOURCES, SourceSpec
from models.sources.vgg16 import TAPS

CPU = torch.device("cpu")
VGG = SOURCES["vgg16"]
# Convolutions up to each tap.
CONVOLUTIONS = {"pool2": 4, "pool3": 7, "pool4": 10, "pool5": 13}
BUILD: Mapping[str, Callable[[SourceNetwork], SourceBackend]] = {
    "torch": lambda network: TorchBackend(network, CPU),
    "ncnn": lambda network: NcnnBackend(network, 1),
    "winograd": lambda network: WinogradBackend(network, 2),  # one image is fewer than threads: the fused network
    "bfloat16": lambda network: Bfloat16Backend(network, 2, native=False),
}


@pytest.fixture
def network(source_weights: Mapping[str, Tensor]) -> SourceNetwork:
    return build_source(VGG, "source", source_weights)


@pytest.fixture(params=list(BUILD))
def backend(request: pytest.FixtureRequest, network: SourceNetwork) -> SourceBackend:
    """Every backend of a CPU, with the real weights of VGG-16."""
    if request.param == "ncnn":
        pytest.importorskip("ncnn")
    return BUILD[request.param](network)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("taps", [("pool3",), ("pool4", "pool2"), ()])
def test_exactly_the_wanted_taps_come_in_order_of_depth(
    backend: SourceBackend, taps: tuple[str, ...], count: int
) -> None:
    images = torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    everything = backend.activations(images)
    found = backend.activations(images, taps)
    assert list(everything) == list(TAPS)
    assert list(found) == [tap for tap in TAPS if tap in taps]
    assert all(torch.equal(found[tap], everything[tap]) for tap in found)


def test_a_tap_that_the_source_does_not_have_is_refused(backend: SourceBackend) -> None:
    with pytest.raises(ValueError, match="the source vgg16 has no tap 'stride8'; it has pool2, pool3, pool4, pool5"):
        backend.activations(torch.rand(1, 3, 32, 32), ["stride8"])


class Forbidden(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:
        raise AssertionError("a layer ran that no tap needs")


@pytest.mark.parametrize("spec", [VGG, SOURCES["efficientnet-lite0"]], ids=["vgg16", "efficientnet-lite0"])
def test_torch_runs_no_layer_behind_the_last_tap(spec: SourceSpec, request: pytest.FixtureRequest) -> None:
    weights = request.getfixturevalue("source_weights" if spec is VGG else "lite0_weights")
    network = build_source(spec, "source", weights)
    *_, wanted, last = spec.taps
    network.features[network.tap_layers[wanted] + 1] = Forbidden()
    backend = TorchBackend(network, CPU)
    assert list(backend.activations(torch.rand(2, 3, 32, 32), [wanted])) == [wanted]
    with pytest.raises(AssertionError, match="no tap needs"):
        backend.activations(torch.rand(2, 3, 32, 32), [last])


@pytest.mark.parametrize("tap", TAPS)
@pytest.mark.parametrize("kind", ["winograd", "bfloat16"])
def test_the_fused_network_runs_no_convolution_behind_the_last_tap(
    network: SourceNetwork, kind: str, tap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []
    operation = fused._operation

    def counting(weight: Tensor, bias: Tensor, side: int) -> fused.Step:
        step = operation(weight, bias, side)

        def run(maps: Tensor) -> Tensor:
            ran.append(len(weight))
            return step(maps)

        return run

    monkeypatch.setattr(fused, "_operation", counting)
    BUILD[kind](network).activations(torch.rand(1, 3, 32, 32), [tap])
    assert len(ran) == CONVOLUTIONS[tap]


@pytest.mark.parametrize("tap", TAPS)
def test_winograd_runs_and_transforms_no_convolution_behind_the_last_tap(
    network: SourceNetwork, tap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    ran: set[object] = set()

    class Counting(WinogradConvolution):
        def __init__(self, weight: Tensor, bias: Tensor, *, pooled: bool) -> None:
            super().__init__(weight, bias, pooled=pooled)
            made.append(self)

        def run(self, blob: Tensor, into: Tensor, side: int, scratch: Scratch) -> None:
            ran.add(self)
            super().run(blob, into, side, scratch)

    monkeypatch.setattr(winograd_backend, "WinogradConvolution", Counting)
    backend = WinogradBackend(network, 1)
    assert made == []
    backend.activations(torch.rand(2, 3, 32, 32), [tap])
    assert ran == set(made)
    assert len(made) == CONVOLUTIONS[tap] - 1  # the first convolution is none of Winograd's
    backend.activations(torch.rand(2, 3, 32, 32))
    assert len(made) == CONVOLUTIONS["pool5"] - 1


@pytest.mark.parametrize("tap", TAPS)
def test_ncnn_builds_no_convolution_behind_the_last_tap(network: SourceNetwork, tap: str) -> None:
    text, weights = ncnn_backend.network_files(dict(network.state_dict()), tap)
    lines = text.splitlines()
    assert sum(line.startswith("Convolution ") for line in lines) == CONVOLUTIONS[tap]
    assert lines[-1].split()[5] == tap
    blobs = {blob for line in lines[2:] for blob in line.split()[4 : 4 + int(line.split()[2]) + int(line.split()[3])]}
    assert lines[1].split() == [str(len(lines) - 2), str(len(blobs))]
    layers = [layer for layer in network.features if isinstance(layer, nn.Conv2d)][: CONVOLUTIONS[tap]]
    assert len(weights) == sum(4 + 4 * (layer.weight.numel() + len(layer.weight)) for layer in layers)


def test_ncnn_lets_the_source_go_and_asks_for_it_again_for_a_deeper_tap(network: SourceNetwork) -> None:
    pytest.importorskip("ncnn")
    asked: list[str] = []

    def reload() -> SourceNetwork:
        asked.append("again")
        return network

    backend = NcnnBackend(network, 1, reload)
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    shallow = backend.activations(images, ["pool2"])["pool2"]
    assert (backend._source, asked) == (None, [])
    deeper = backend.activations(images, ["pool2", "pool3"])
    assert (backend._source, asked) == (None, ["again"])
    assert torch.equal(deeper["pool2"], shallow)
    assert torch.allclose(
        deeper["pool3"], network(images, ["pool3"])["pool3"], atol=1e-3 * float(deeper["pool3"].max())
    )


def test_ncnn_computes_the_same_once_it_has_given_memory_back(network: SourceNetwork) -> None:
    pytest.importorskip("ncnn")
    backend = NcnnBackend(network, 2)
    assert isinstance(backend, KeepsMemory)
    backend.give_back()  # nothing is there yet
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    before = backend.activations(images, ["pool3"])["pool3"]
    backend.give_back()
    assert torch.equal(backend.activations(images, ["pool3"])["pool3"], before)


def test_backends_by_size_all_give_memory_back() -> None:
    given: list[str] = []

    class Keeping:
        name = "keeping"

        def activations(self, images: Tensor, taps: object = None) -> dict[str, Tensor]:
            return {}

        def give_back(self) -> None:
            given.append("back")

    class Plain:
        name = "plain"

        def activations(self, images: Tensor, taps: object = None) -> dict[str, Tensor]:
            return {}

    BySize({1: Keeping(), 8: Keeping(), 32: Plain()}).give_back()
    assert given == ["back", "back"]


@pytest.mark.parametrize("shared", [True, False])
def test_ncnn_holds_one_network_where_its_openmp_can_be_told(
    network: SourceNetwork, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ncnn")
    if shared and ncnn_backend.levels_of_openmp() is None:
        pytest.skip("ncnn has no OpenMP of its own here")
    if not shared:
        monkeypatch.setattr(ncnn_backend, "levels_of_openmp", lambda: None)
    backend = NcnnBackend(network, 2)
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    many = backend.activations(images, ["pool3"])["pool3"]
    one = backend.activations(images[:1], ["pool3"])["pool3"]
    again = backend.activations(images, ["pool3"])["pool3"]
    assert torch.equal(many, again)
    assert torch.allclose(one[0], many[0], atol=1e-4 * float(many.max()))
    assert len(backend._networks) == (1 if shared else 2)
