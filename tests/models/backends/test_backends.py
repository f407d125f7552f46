"""Which backend runs where, that it is built once, and only from the weights that the artifact names."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.artifact import Artifact
from models.backends import pool as subject
from models.backends.base import SourceBackend, SourceKey
from models.backends.choice import BackendName, candidates
from models.backends.ncnn_backend import NcnnBackend
from models.backends.pool import SourcePool, source_key
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
    other_order = backend.activations(images.contiguous(memory_format=torch.channels_last))
    for row in range(3):
        one = backend.activations(images[row : row + 1])
        for tap in TAPS:
            loudest = float(reference[tap].max())
            assert one[tap].shape == reference[tap][:1].shape
            assert torch.allclose(one[tap][0], many[tap][row], atol=1e-4 * loudest)
            assert torch.allclose(many[tap][row], reference[tap][row], atol=1e-3 * loudest)
            assert torch.allclose(other_order[tap][row], many[tap][row], atol=1e-4 * loudest)


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


def test_auto_races_what_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert candidates("auto", CPU, VGG)[0] == ("ncnn", "winograd", "torch")
    assert candidates("auto", CPU, LITE)[0] == ("onnxruntime", "torch")
    assert candidates("torch", CPU, VGG) == (("torch",), "asked for")
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    assert candidates("auto", CPU, VGG)[0] == ("ncnn", "torch")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert candidates("auto", CPU, VGG) == (("torch",), "ncnn not installed")
    assert candidates("auto", CPU, LITE) == (("torch",), "onnxruntime not installed")
    assert candidates("winograd", CPU, VGG) == (("winograd",), "asked for")
    missing: tuple[BackendName, ...] = ("ncnn", "onnxruntime")
    for backend in missing:
        with pytest.raises(ValueError, match=rf"{backend} is not installed: pip install 'mkdserve\[{backend}\]'"):
            candidates(backend, CPU, VGG)


def test_bfloat16_has_its_backend_whatever_is_asked_but_torch() -> None:
    assert candidates("auto", CPU, VGG, "bfloat16") == (("bfloat16",), "the artifact's source precision")
    assert candidates("auto", CPU, LITE, "bfloat16") == (("torch",), "the artifact's source precision")
    assert candidates("torch", CPU, VGG, "bfloat16") == (("torch",), "asked for")


def test_a_gpu_is_never_given_the_cpus_backend() -> None:
    cuda = torch.device("cuda:1")
    assert candidates("auto", cuda, VGG) == (("torch",), "the device is cuda:1")
    with pytest.raises(ValueError, match="runs on a CPU, not on cuda:1"):
        candidates("ncnn", cuda, VGG)
    assert candidates("cuda", cuda, VGG) == (("cuda",), "asked for")
    with pytest.raises(ValueError, match="runs on a CUDA device, not on cpu"):
        candidates("cuda", CPU, VGG)
    with pytest.raises(ValueError, match="the backend winograd runs on a CPU"):
        candidates("winograd", cuda, VGG)


@pytest.mark.parametrize("backend", ["winograd", "ncnn"])
def test_a_backend_that_has_no_version_of_a_source_is_refused_in_words(backend: BackendName) -> None:
    if backend == "ncnn":
        pytest.importorskip("ncnn")
    assert candidates(backend, CPU, SOURCES["vgg16-torchvision"])[0] == (backend,)
    with pytest.raises(
        ValueError, match=f"the backend {backend} runs vgg16 only; efficientnet-lite0 needs onnxruntime or torch"
    ):
        SourcePool(CPU, backend=backend).require(SourceKey("efficientnet-lite0", "0" * 64, "source"))


def test_auto_measures_on_the_golden_pictures_and_the_wanted_taps_once(
    bolt: Artifact, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(subject, "cache_folder", lambda: tmp_path)
    raced: list[tuple[list[str], Tensor, object]] = []

    def race(contenders: Mapping[str, SourceBackend], images: Tensor, taps: object) -> dict[str, dict[int, float]]:
        raced.append((list(contenders), images, taps))
        return {name: {1: 2.0} for name in contenders} | {"torch": {1: 1.0}}

    monkeypatch.setattr(subject, "race", race)
    monkeypatch.setattr(subject, "candidates", lambda *_: (("winograd", "torch"), "several"))
    pool = SourcePool(CPU, threads=1)
    assert pool.require(bolt.source, bolt.workload).name == "torch"
    [(names, images, taps)] = raced
    assert names == ["winograd", "torch"]
    assert len(images) == len(bolt.manifest.golden)
    assert images.shape[-1] == bolt.preprocessing.image_size
    assert taps == bolt.head.needs.taps
    words = "torch (measured {}, ms an image: batch 1: winograd 2000.0, torch 1000.0)"
    assert pool.chosen() == {"vgg16 in float32": words.format("now")}
    other = SourcePool(CPU, threads=1)
    assert other.require(bolt.source, bolt.workload).name == "torch"
    assert len(raced) == 1
    assert other.chosen() == {"vgg16 in float32": words.format("before")}


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
