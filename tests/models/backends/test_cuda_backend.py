"""Batches are cut into buckets, each row once; on a GPU the graphs give what the plain source gives."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.backends.buckets import BUCKETS, Buckets
from models.backends.cuda_backend import CudaBackend
from models.sources.network import SourceNetwork, build_source
from models.sources.registry import SOURCES
from models.sources.vgg16 import TAPS, vgg_layers


@given(st.integers(1, 200), st.sets(st.integers(1, 48), min_size=1, max_size=6))
def test_every_row_is_in_one_filling_and_every_filling_fits_its_bucket(images: int, sizes: set[int]) -> None:
    buckets = Buckets(tuple(sizes))
    fillings = list(buckets.fill(images))
    assert [row for one in fillings for row in range(one.start, one.stop)] == list(range(images))
    for one in fillings:
        assert one.bucket in sizes
        assert 0 < one.stop - one.start <= one.bucket
        smaller = [size for size in sizes if size < one.bucket]
        assert all(size < one.stop - one.start for size in smaller)  # no smaller one would have held it


def test_a_few_buckets_serve_every_batch_of_the_service() -> None:
    used = {one.bucket for images in range(1, 65) for one in Buckets().fill(images)}
    assert used == set(BUCKETS)


def test_no_images_fill_nothing() -> None:
    assert list(Buckets().fill(0)) == []


@pytest.mark.parametrize("sizes", [(), (0, 4), (-1,)])
def test_buckets_are_positive(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="positive"):
        Buckets(sizes)


def test_a_cpu_is_refused() -> None:
    with pytest.raises(ValueError, match="runs on a CUDA device, not on cpu"):
        CudaBackend(SourceNetwork(SOURCES["vgg16"], "source", vgg_layers()), torch.device("cpu"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_graphs_give_what_the_plain_source_gives(source_weights: Mapping[str, torch.Tensor]) -> None:
    device = torch.device("cuda")
    network = build_source(SOURCES["vgg16"], "source", source_weights)
    images = torch.rand(5, 3, 64, 64)
    with torch.no_grad():
        expected = {tap: tensor.clone() for tap, tensor in network(images).items()}
    backend = CudaBackend(network, device, Buckets((1, 4)))
    for batch in (images, images[:1], images.to(device), images):
        found = backend.activations(batch)
        assert list(backend.activations(batch, ["pool3"])) == ["pool3"]
        for tap in TAPS:
            rows = expected[tap][: len(batch)]
            assert torch.allclose(found[tap].cpu(), rows, atol=0.01 * float(rows.max()))
