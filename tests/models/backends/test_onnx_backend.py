"""ONNX Runtime runs every source as torch does, one image as many, and no layer behind the last tap."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

from models.backends import onnx_graph as graph_module
from models.backends.kept import FOLDER, Kept
from models.backends.onnx_backend import OnnxBackend
from models.backends.onnx_graph import onnx_graph
from models.backends.torch_backend import TorchBackend
from models.sources.network import SourceNetwork, build_source
from models.sources.registry import SOURCES

pytest.importorskip("onnxruntime")
CPU = torch.device("cpu")


@pytest.fixture
def build(request: pytest.FixtureRequest) -> Callable[[str], SourceNetwork]:
    def network(name: str) -> SourceNetwork:
        weights = request.getfixturevalue("source_weights" if name == "vgg16" else "lite0_weights")
        return build_source(SOURCES[name], "source", weights)

    return network


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("name", "size"), [("efficientnet-lite0", 96), ("efficientnet-lite0", 64), ("vgg16", 32)])
def test_it_gives_what_torch_gives_for_one_image_and_for_many(
    build: Callable[[str], SourceNetwork], name: str, size: int, threads: int
) -> None:
    images = torch.rand(5, 3, size, size, generator=torch.Generator().manual_seed(0))
    reference = TorchBackend(build(name), CPU).activations(images)
    backend = OnnxBackend(build(name), threads)
    many = backend.activations(images)
    assert list(many) == list(reference)
    for row in range(5):
        one = backend.activations(images[row : row + 1])
        for tap, expected in reference.items():
            loudest = float(expected.abs().max())
            assert many[tap].dtype == torch.float32
            assert torch.allclose(one[tap][0], many[tap][row], atol=1e-4 * loudest)
            assert torch.allclose(many[tap][row], expected[row], atol=1e-4 * loudest)


def test_exactly_the_wanted_taps_come_in_order_of_depth(build: Callable[[str], SourceNetwork]) -> None:
    backend = OnnxBackend(build("efficientnet-lite0"), 1)
    images = torch.rand(3, 3, 32, 32)
    everything = backend.activations(images)
    found = backend.activations(images, ("stride16", "stride8"))
    assert list(found) == ["stride8", "stride16"]
    assert all(torch.allclose(found[tap], everything[tap], atol=1e-4) for tap in found)
    assert backend.activations(images, ()) == {}
    with pytest.raises(ValueError, match="has no tap 'pool2'"):
        backend.activations(images, ("pool2",))


@pytest.mark.parametrize("deepest", ["stride4", "stride16"])
def test_the_graph_ends_at_the_deepest_tap(build: Callable[[str], SourceNetwork], deepest: str) -> None:
    network = build("efficientnet-lite0")
    model = onnx.load_model_from_string(onnx_graph(network, deepest))
    onnx.checker.check_model(model, full_check=True)
    layers = list(network.features[: network.tap_layers[deepest] + 1].modules())
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert len(convolutions) == sum(isinstance(layer, nn.Conv2d) for layer in layers)
    assert [output.name for output in model.graph.output][-1] == deepest


def test_a_layer_that_it_does_not_know_is_refused(build: Callable[[str], SourceNetwork]) -> None:
    network = build("efficientnet-lite0")
    network.features[2] = nn.Hardswish()
    with pytest.raises(TypeError, match="no ONNX for a layer Hardswish"):
        onnx_graph(network, "stride4")


def test_a_graph_that_is_kept_is_not_written_again(
    build: Callable[[str], SourceNetwork], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, images, kept = build("efficientnet-lite0"), torch.rand(1, 3, 32, 32), Kept(tmp_path, "lite")
    first = OnnxBackend(network, 1, kept).activations(images, ("stride4",))
    monkeypatch.setitem(sys.modules, "models.backends.onnx_graph", None)  # importing it now fails
    again = OnnxBackend(network, 1, kept).activations(images, ("stride4",))
    assert torch.equal(first["stride4"], again["stride4"])
    file = tmp_path / FOLDER / "lite-stride4.onnx"
    damaged = bytearray(file.read_bytes())
    damaged[1000] ^= 1
    file.write_bytes(damaged)
    monkeypatch.setitem(sys.modules, "models.backends.onnx_graph", graph_module)
    mended = OnnxBackend(network, 1, kept).activations(images, ("stride4",))
    assert torch.equal(first["stride4"], mended["stride4"])
    assert file.read_bytes() != bytes(damaged)
