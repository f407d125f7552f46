"""In bfloat16: a row is the same bits alone and among others, with AMX and without, and near what torch gives."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import pytest
import torch

from models.backends import pool as pool_module
from models.backends.base import SourceKey, empty_taps
from models.backends.bfloat16_backend import Bfloat16Backend
from models.backends.choice import BackendName
from models.backends.fused import FusedSource
from models.backends.pool import SourcePool, source_key
from models.backends.processor import has_fast_bfloat16
from models.backends.torch_backend import TorchBackend
from models.sources.network import SourceNetwork, build_source
from models.sources.registry import SOURCES
from models.sources.vgg16 import TAPS

CPU = torch.device("cpu")
NATIVE = [False, pytest.param(True, marks=pytest.mark.skipif(not has_fast_bfloat16(), reason="needs AMX"))]


@pytest.fixture
def network(source_weights: Mapping[str, torch.Tensor]) -> SourceNetwork:
    return build_source(SOURCES["vgg16"], "source", source_weights)


def pictures(count: int, size: int) -> torch.Tensor:
    """Smooth, as photographs are: noise would hide what rounding does."""
    coarse = torch.rand(count, 3, size // 8, size // 8, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, size=size, mode="bilinear").contiguous()


def error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """RMS of the difference over RMS."""
    return float((found - expected).square().mean().sqrt() / expected.square().mean().sqrt())


def fused(source: FusedSource, images: torch.Tensor) -> dict[str, torch.Tensor]:
    taps = empty_taps(SOURCES["vgg16"], len(images), images.shape[-1])
    source.run(images, taps)
    return taps


@pytest.mark.parametrize("size", [32, 96])
def test_the_fused_network_is_the_plain_one(network: SourceNetwork, size: int) -> None:
    images = pictures(2, size)
    expected = TorchBackend(network, CPU).activations(images)
    found = fused(FusedSource(network), images)
    for tap in TAPS:
        assert found[tap].shape == expected[tap].shape
        assert found[tap].is_contiguous(memory_format=torch.channels_last)
        assert error(found[tap], expected[tap]) < 1e-5


def test_where_torch_has_no_fused_convolution_the_plain_one_gives_the_same(
    network: SourceNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = pictures(2, 32)
    expected = fused(FusedSource(network), images)
    monkeypatch.setattr(torch.ops, "mkldnn", object())
    found = fused(FusedSource(network), images)
    assert all(error(found[tap], expected[tap]) < 1e-5 for tap in TAPS)


@pytest.mark.parametrize("native", NATIVE)
@pytest.mark.parametrize("size", [32, 96])
def test_a_row_is_the_same_bits_alone_and_among_others(network: SourceNetwork, native: bool, size: int) -> None:
    images = pictures(7, size)
    backend = Bfloat16Backend(network, 2, native=native)
    alone = [backend.activations(images[row : row + 1]) for row in range(7)]
    for rows in (range(7), range(2, 5), range(5, 7)):
        together = backend.activations(images[rows.start : rows.stop])
        for place, row in enumerate(rows):
            assert all(torch.equal(together[tap][place], alone[row][tap][0]) for tap in TAPS)


@pytest.mark.parametrize("native", NATIVE)
def test_it_computes_in_bfloat16_but_takes_the_picture_in_float32(network: SourceNetwork, native: bool) -> None:
    images = pictures(2, 64)
    exact = TorchBackend(network, CPU).activations(images)
    found = Bfloat16Backend(network, 1, native=native).activations(images)
    coarse = Bfloat16Backend(network, 1, native=native).activations(images.bfloat16().float())
    for tap in TAPS:
        assert torch.equal(found[tap], found[tap].bfloat16().float())
        assert 1e-4 < error(found[tap], exact[tap]) < 0.03
        assert torch.allclose(found[tap].mean(), exact[tap].mean(), rtol=0.02)
    assert any(not torch.equal(found[tap], coarse[tap]) for tap in TAPS)


@pytest.mark.parametrize("native", NATIVE)
def test_torch_gives_nearly_the_same_in_bfloat16(network: SourceNetwork, native: bool) -> None:
    """Products add up in another order, so that some values are rounded to the other neighbour."""
    images = pictures(2, 64)
    backend = Bfloat16Backend(network, 1, native=native)
    found = backend.activations(images)
    exact = TorchBackend(network, CPU).activations(images)
    expected = TorchBackend(network, CPU, precision="bfloat16").activations(images)
    for tap in TAPS:
        assert expected[tap].dtype == torch.float32
        assert error(found[tap], expected[tap]) < min(0.01, error(found[tap], exact[tap]))


@pytest.mark.usefixtures("source_weights")
@pytest.mark.parametrize("backend", ["auto", "ncnn", "winograd"])
def test_an_artifact_of_bfloat16_has_a_backend_of_its_own_beside_those_of_float32(
    backend: BackendName, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "ncnn":
        pytest.importorskip("ncnn")
    monkeypatch.setattr(pool_module, "has_fast_bfloat16", lambda: True)
    pool = SourcePool(CPU, backend=backend, threads=1)
    half = source_key("vgg16", "source", precision="bfloat16")
    with caplog.at_level(logging.WARNING):
        assert pool.require(half).name == "bfloat16"
    assert not caplog.records
    assert pool.chosen() == {"vgg16 in bfloat16": "bfloat16 (the artifact's source precision)"}
    assert list(pool) == [half]


@pytest.mark.usefixtures("source_weights")
def test_a_processor_without_amx_is_told(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "has_fast_bfloat16", lambda: False)
    half = source_key("vgg16", "source", precision="bfloat16")
    with caplog.at_level(logging.WARNING):
        SourcePool(CPU, threads=1).require(half)
    assert "this CPU has no AMX" in caplog.text


@pytest.mark.usefixtures("source_weights")
def test_torch_runs_bfloat16_itself_where_it_was_asked_for() -> None:
    key = source_key("vgg16", "source", precision="bfloat16")
    pool = SourcePool(CPU, backend="torch")
    assert pool.require(key).name == "torch"
    taps = pool[key].activations(pictures(1, 32))
    assert all(torch.equal(tensor, tensor.bfloat16().float()) for tensor in taps.values())


def test_keys_of_two_precisions_are_two_sources() -> None:
    key = SourceKey("vgg16", "0" * 64, "source")
    assert key.precision == "float32"
    assert key != key._replace(precision="bfloat16")
