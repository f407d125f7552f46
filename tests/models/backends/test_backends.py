"""Which backend runs where, that it is built once, and only from the weights that the artifact names."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from models.artifact import Artifact
from models.backends import pool as subject
from models.backends.base import SourceKey
from models.backends.ncnn_backend import NcnnBackend
from models.backends.pool import BackendName, SourcePool, choose_backend, source_key
from models.backends.torch_backend import TorchBackend
from models.backends.winograd_backend import WinogradBackend
from models.sources.network import SourceNetwork, build_source
from models.sources.registry import SOURCES
from models.sources.vgg16 import TAPS
from models.sources.weights import SourceWeightsError

CPU = torch.device("cpu")
VGG, LITE = SOURCES["vgg16"], SOURCES["efficientnet-lite0"]


@pytest.fixture
def network(source_weights: Mapping[str, torch.Tensor]) -> SourceNetwork:
    return build_source(SOURCES["vgg16"], "source", source_weights)


@torch.no_grad()
def test_the_torch_backend_is_the_source_network(network: SourceNetwork) -> None:
    images = torch.rand(2, 3, 32, 32)
    expected = {tap: tensor.clone() for tap, tensor in network(images).items()}
    found = TorchBackend(network, CPU).activations(images)
    assert tuple(found) == TAPS
    for tap, tensor in found.items():
        assert tensor.dtype == torch.float32
        assert not tensor.requires_grad
        assert torch.allclose(tensor, expected[tap], rtol=1e-4, atol=1e-3 * float(expected[tap].max()))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("kind", "size"), [("ncnn", 64), ("winograd", 64), ("winograd", 96)])
def test_a_cpus_backend_gives_the_same_for_one_image_and_for_many(
    network: SourceNetwork, kind: str, size: int, threads: int
) -> None:
    if kind == "ncnn":
        pytest.importorskip("ncnn")
    images = torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(0))
    reference = TorchBackend(network, CPU).activations(images)
    backend = NcnnBackend(network, threads) if kind == "ncnn" else WinogradBackend(network, threads)
    many = backend.activations(images)
    for row in range(3):
        one = backend.activations(images[row : row + 1])
        for tap in TAPS:
            loudest = float(reference[tap].max())
            assert one[tap].shape == reference[tap][:1].shape
            assert torch.allclose(one[tap][0], many[tap][row], atol=1e-4 * loudest)
            assert torch.allclose(many[tap][row], reference[tap][row], atol=1e-3 * loudest)


def test_what_a_backend_gave_stays_when_it_runs_again(network: SourceNetwork) -> None:
    """It keeps its working memory from call to call; what it handed out must not be part of it."""
    backend = WinogradBackend(network, 1)
    first = backend.activations(torch.rand(2, 3, 32, 32))
    copies = {tap: tensor.clone() for tap, tensor in first.items()}
    backend.activations(torch.rand(2, 3, 32, 32))
    backend.activations(torch.rand(1, 3, 64, 64))
    assert all(torch.equal(first[tap], copies[tap]) for tap in TAPS)


def test_several_threads_may_share_a_backend(network: SourceNetwork) -> None:
    backend = WinogradBackend(network, 2)
    batches = [torch.rand(count, 3, 32, 32) for count in (1, 2, 3, 1, 4, 1)]
    expected = [backend.activations(batch) for batch in batches]
    with ThreadPoolExecutor(3) as pool:
        for one, other in zip(expected, pool.map(backend.activations, batches), strict=True):
            assert all(torch.allclose(one[tap], other[tap], atol=1e-4 * float(one[tap].max())) for tap in TAPS)


def test_the_backend_of_a_cpu_is_the_fastest_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    assert choose_backend("auto", CPU, VGG) == ("winograd", "the fastest one for a CPU where torch has MKL")
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert choose_backend("auto", CPU, VGG) == ("ncnn", "the fastest one installed for a CPU where torch has no MKL")
    assert choose_backend("torch", CPU, VGG) == ("torch", "asked for")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert choose_backend("auto", CPU, VGG) == ("torch", "torch has no MKL and ncnn is not installed")
    assert choose_backend("winograd", CPU, VGG) == ("winograd", "asked for")
    with pytest.raises(ValueError, match="pip install"):
        choose_backend("ncnn", CPU, VGG)


def test_a_gpu_is_never_given_the_cpus_backend() -> None:
    cuda = torch.device("cuda:1")
    assert choose_backend("auto", cuda, VGG) == ("torch", "the device is cuda:1")
    with pytest.raises(ValueError, match="runs on a CPU, not on cuda:1"):
        choose_backend("ncnn", cuda, VGG)
    assert choose_backend("cuda", cuda, VGG) == ("cuda", "asked for")
    with pytest.raises(ValueError, match="runs on a CUDA device, not on cpu"):
        choose_backend("cuda", CPU, VGG)
    with pytest.raises(ValueError, match="the backend winograd runs on a CPU"):
        choose_backend("winograd", cuda, VGG)


@pytest.mark.parametrize("backend", ["winograd", "ncnn"])
def test_a_backend_that_has_no_version_of_a_source_is_refused_in_words(backend: BackendName) -> None:
    if backend == "ncnn":
        pytest.importorskip("ncnn")
    assert choose_backend(backend, CPU, SOURCES["vgg16-torchvision"])[0] == backend
    with pytest.raises(ValueError, match=f"the backend {backend} runs vgg16 only; efficientnet-lite0 needs torch"):
        SourcePool(CPU, backend=backend).require(SourceKey("efficientnet-lite0", "0" * 64, "source"))


def test_auto_picks_for_each_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    pool = SourcePool(CPU)
    assert pool.chosen(SourceKey("vgg16", "0" * 64, "source"))[0] == "winograd"
    lite = SourceKey("efficientnet-lite0", "0" * 64, "source")
    assert pool.chosen(lite) == ("torch", "the only one for efficientnet-lite0 on a CPU")
    assert pool.chosen(lite._replace(precision="bfloat16"))[0] == "torch"


def test_one_pool_runs_sources_of_two_architectures(
    source_weights: Mapping[str, torch.Tensor], lite0_weights: Mapping[str, torch.Tensor]
) -> None:
    pool, images = SourcePool(CPU, threads=1), torch.rand(2, 3, 32, 32)
    for spec in (VGG, LITE):
        found = pool.require(source_key(spec.name, "source")).activations(images)
        assert list(found) == list(spec.taps)


def test_a_row_of_efficientnet_is_the_same_alone_and_among_others(lite0_weights: Mapping[str, torch.Tensor]) -> None:
    images = torch.rand(5, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    backend = TorchBackend(build_source(LITE, "source", lite0_weights), CPU)
    together = backend.activations(images)
    for row in range(5):
        for tap, alone in backend.activations(images[row : row + 1]).items():
            assert torch.allclose(alone[0], together[tap][row], atol=1e-4 * float(together[tap].abs().max()))


def test_a_source_is_built_once_and_only_when_required(bolt: Artifact) -> None:
    pool = SourcePool(CPU, backend="torch", threads=1)
    assert len(pool) == 0
    assert pool.require(bolt.source) is pool.require(bolt.source) is pool[bolt.source]
    assert list(pool) == [bolt.source]
    with pytest.raises(KeyError):
        pool[bolt.source._replace(normalisation="unit")]


@pytest.mark.usefixtures("source_weights")
def test_an_artifact_of_other_weights_is_refused() -> None:
    key = source_key("vgg16", "source")._replace(sha256="ab" * 32)
    with pytest.raises(SourceWeightsError, match="trained on source weights abababababab"):
        SourcePool(CPU, backend="torch").require(key)


def test_the_named_weights_file_is_what_the_pool_reads(bolt: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def load(name: str, file: object) -> dict[str, torch.Tensor]:
        asked.append((name, file))
        raise SourceWeightsError("not here")

    monkeypatch.setattr(subject, "load_source_weights", load)
    with pytest.raises(SourceWeightsError, match="not here"):
        SourcePool(CPU, backend="torch").require(bolt.source)
    assert asked == [("vgg16", None)]
