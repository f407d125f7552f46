"""EfficientNet-Lite0 in int8: near float32 on any picture, safe without VNNI, and only where it can be."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from onnx import numpy_helper

from models.backends.base import SourceKey
from models.backends.choice import BackendName, candidates
from models.backends.int8_graph import int8_graph, usual_relu6
from models.backends.int8_plain_graph import int8_plain_graph
from models.backends.int8_weights import LARGEST_PAIR, rounded
from models.backends.kept import FOLDER, Kept
from models.backends.onnx_backend import INT8_EDITION, OnnxBackend
from models.backends.pool import SourcePool, source_key
from models.backends.torch_backend import TorchBackend
from models.sources.network import SourceNetwork, build_source
from models.sources.registry import SOURCES

pytest.importorskip("onnxruntime")
CPU = torch.device("cpu")
LITE, VGG = SOURCES["efficientnet-lite0"], SOURCES["vgg16"]
SIZE = 96


@pytest.fixture(scope="module")
def network(lite0_weights: Mapping[str, torch.Tensor]) -> SourceNetwork:
    return build_source(LITE, "source", lite0_weights)


@pytest.fixture(scope="module")
def plain(source_weights: Mapping[str, torch.Tensor]) -> SourceNetwork:
    return build_source(VGG, "source", source_weights)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    """Three made-up surfaces: noise of several grains."""
    generator = torch.Generator().manual_seed(0)
    found = torch.zeros(3, 3, SIZE, SIZE)
    for grain in (1, 4, 16):
        noise = torch.randn(3, 3, SIZE // grain, SIZE // grain, generator=generator)
        found += torch.nn.functional.interpolate(noise, size=(SIZE, SIZE), mode="bilinear")
    return (found / 10 + 0.5).clamp(0, 1)


@pytest.mark.parametrize("source", ["network", "plain"])
def test_activations_are_those_of_float32_within_a_tenth(
    source: str, images: torch.Tensor, request: pytest.FixtureRequest
) -> None:
    network: SourceNetwork = request.getfixturevalue(source)
    exact = TorchBackend(network, CPU).activations(images)
    found = OnnxBackend(network, 1, precision="int8").activations(images)
    assert list(found) == list(exact)
    for tap, expected in exact.items():
        assert found[tap].shape == expected.shape
        share = float((found[tap] - expected).square().mean().sqrt() / expected.square().mean().sqrt())
        assert 0.005 < share < 0.1, f"{tap}: {share}"


@pytest.mark.parametrize("threads", [1, 2])
def test_an_image_has_the_same_activations_alone_and_among_others(
    network: SourceNetwork, images: torch.Tensor, threads: int
) -> None:
    backend = OnnxBackend(network, threads, precision="int8")
    many = backend.activations(images, ("stride8", "stride16"))
    assert list(many) == ["stride8", "stride16"]
    for row in range(len(images)):
        one = backend.activations(images[row : row + 1], ("stride8", "stride16"))
        for tap in many:
            away = (one[tap][0] - many[tap][row]).square().mean().sqrt() / many[tap][row].square().mean().sqrt()
            assert float(away) < 1e-3


def test_no_two_neighbouring_products_overflow_sixteen_bits(network: SourceNetwork, plain: SourceNetwork) -> None:
    found = [*_products(int8_graph(network, "stride32")), *_products(int8_plain_graph(plain, "pool5"))]
    assert len(found) == 30 + 12, "two of each block behind the first, and all convolutions behind the first"
    for weights in found:
        sizes = np.abs(weights.astype(np.int32))
        assert (sizes[:, 1:] + sizes[:, :-1]).max() <= LARGEST_PAIR
        assert sizes.max() > 90, "the eighth bit is used"


def _products(graph: bytes) -> Iterator[npt.NDArray[np.int8]]:
    """The weights of each matrix product, (outputs, inputs) as they lie next to each other."""
    nodes = onnx.load_model_from_string(graph).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in nodes.initializer}
    for node in nodes.node:
        if node.op_type == "MatMulIntegerToFloat":
            yield tensors[node.input[1]].T
        elif node.op_type == "QLinearConv" and tensors[node.input[3]].shape[1] > 1:
            weights = np.moveaxis(tensors[node.input[3]], 1, -1)
            yield weights.reshape(len(weights), -1)


def test_rounding_keeps_the_usual_output_and_ranges() -> None:
    random = np.random.default_rng(0)
    weight, bias, mean = random.normal(size=(8, 16, 1, 1)), random.normal(size=8), random.random(16)
    for pairs in (False, True):
        whole, steps, moved = rounded(weight, bias, 0.1, mean, pairs=pairs)
        assert np.abs(whole).max() <= 127
        assert np.abs(whole * steps[:, None, None, None] - weight).max() <= steps.max() / 2 + 1e-9
        usual = (whole[:, :, 0, 0] * steps[:, None]) @ mean + moved
        assert usual == pytest.approx(weight[:, :, 0, 0] @ mean + bias)
    nothing, steps, moved = rounded(np.zeros((1, 4, 1, 1)), np.array([3.0]), 0.1, mean[:4], pairs=True)
    assert not nothing.any()
    assert abs(moved[0] / (0.1 * steps[0])) < 2**31, "a bias without weights fits a whole number"


def test_the_usual_activation_is_the_mean_behind_a_relu6() -> None:
    mean, deviation = np.array([-3.0, 0.0, 2.0, 9.0]), np.array([1.0, 2.0, 4.0, 1.0])
    drawn = np.random.default_rng(0).normal(mean, deviation, size=(200_000, 4)).clip(0, 6)
    assert usual_relu6(mean, deviation) == pytest.approx(drawn.mean(axis=0), abs=0.02)


def test_it_runs_by_onnx_runtime_on_a_cpu_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: tuple[BackendName, ...] = ("auto", "onnxruntime")
    for backend in asked:
        assert candidates(backend, CPU, LITE, "int8") == (("onnxruntime",), "the artifact's source precision")
    assert candidates("auto", CPU, VGG, "int8")[0] == ("onnxruntime",)
    with pytest.raises(ValueError, match=r"no int8 for vgg16-torchvision; .* needs --source vgg16 or efficientnet"):
        candidates("auto", CPU, SOURCES["vgg16-torchvision"], "int8")
    with pytest.raises(ValueError, match="by the backend onnxruntime, not on cpu by torch"):
        candidates("torch", CPU, LITE, "int8")
    with pytest.raises(ValueError, match="runs on a CPU by the backend onnxruntime, not on cuda:0 by auto"):
        candidates("auto", torch.device("cuda:0"), LITE, "int8")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"int8 needs ONNX Runtime: pip install 'mkdserve\[onnxruntime\]'"):
        candidates("auto", CPU, LITE, "int8")


def test_a_pool_holds_both_precisions_side_by_side(lite0_weights: Mapping[str, torch.Tensor]) -> None:
    pool = SourcePool(CPU, backend="onnxruntime", threads=1)
    keys: list[SourceKey] = [source_key("efficientnet-lite0", "source", precision=one) for one in ("float32", "int8")]
    exact, whole = (pool.require(key).activations(torch.full((1, 3, 32, 32), 0.4), ("stride4",)) for key in keys)
    assert not torch.equal(exact["stride4"], whole["stride4"])
    assert pool.chosen()["efficientnet-lite0 in int8"] == "onnxruntime (the artifact's source precision)"


def test_its_graph_is_kept_apart_from_that_of_float32(
    network: SourceNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, picture = Kept(tmp_path, "lite"), torch.rand(1, 3, 32, 32)
    exact = OnnxBackend(network, 1, kept).activations(picture, ("stride4",))
    first = OnnxBackend(network, 1, kept, "int8").activations(picture, ("stride4",))
    assert not torch.equal(first["stride4"], exact["stride4"])
    names = {file.name for file in (tmp_path / FOLDER).iterdir()}
    assert names == {"lite-stride4.onnx", f"lite-stride4-int8-{INT8_EDITION}.onnx"}
    monkeypatch.setitem(sys.modules, "models.backends.int8_graph", None)  # importing it now fails
    again = OnnxBackend(network, 1, kept, "int8").activations(picture, ("stride4",))
    assert torch.equal(first["stride4"], again["stride4"])


def test_weights_without_ranges_have_none(source_weights: Mapping[str, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="there is no int8 for vgg16-torchvision"):
        int8_plain_graph(build_source(SOURCES["vgg16-torchvision"], "source", source_weights), "pool2")
