"""Winograd's convolution is the convolution, for every side and part; its threads are limited one by one."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.backends import single_threads, winograd, winograd_tiles
from models.backends.single_threads import SingleThreads, groups_of, shares
from models.backends.winograd import (
    FirstConvolution,
    Scratch,
    WinogradConvolution,
    empty_blob,
    inside,
    tiles_of,
    transformed,
)

INPUTS, OUTPUTS = 6, 5


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def filled(images: Tensor) -> Tensor:
    """(n, C, S, S) as a blob."""
    blob = empty_blob(len(images), images.shape[-1], images.shape[1])
    side = images.shape[-1]
    inside(blob)[:, :side, :side] = images.permute(0, 2, 3, 1)
    return blob


def direct(images: Tensor, weight: Tensor, bias: Tensor, pooled: bool) -> Tensor:
    found = functional.conv2d(images.double(), weight.double(), bias.double(), padding=1).relu()
    return functional.max_pool2d(found, 2) if pooled else found


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("side", [2, 4, 6, 10, 16])
def test_it_is_the_convolution_of_any_even_side(side: int, pooled: bool) -> None:
    images, weight, bias = torch.randn(3, INPUTS, side, side), torch.randn(OUTPUTS, INPUTS, 3, 3), torch.randn(OUTPUTS)
    written = tiles_of(side) * (2 if pooled else 4)
    into = torch.full((3, written, written, OUTPUTS), -1.0)
    WinogradConvolution(transformed(weight), bias, pooled=pooled).run(filled(images), into, side, Scratch())
    expected = direct(images, weight, bias, pooled)
    size = expected.shape[-1]
    found = into[:, :size, :size].permute(0, 3, 1, 2)
    assert torch.allclose(found.double(), expected, atol=1e-4)
    if not pooled:  # the next layer reads it as padding
        assert not into[:, size:].any()
        assert not into[:, :, size:].any()


@pytest.mark.parametrize("pooled", [False, True])
def test_chunks_of_rows_and_images_give_what_one_product_gives(pooled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    images, weight, bias = torch.randn(5, INPUTS, 12, 12), torch.randn(OUTPUTS, INPUTS, 3, 3), torch.randn(OUTPUTS)
    written = 6 if pooled else 12
    whole, by_rows, by_images = (torch.empty(5, written, written, OUTPUTS) for _ in range(3))
    blob = filled(images)
    convolution = WinogradConvolution(transformed(weight), bias, pooled=pooled)
    convolution.run(blob, whole, 12, Scratch())
    for tiles, into in ((4, by_rows), (20, by_images)):
        monkeypatch.setattr(convolution, "_tiles", tiles)
        convolution.run(blob, into, 12, Scratch())
        assert torch.allclose(into, whole, atol=1e-4)


def test_the_first_layer_is_the_convolution_of_three_colours() -> None:
    layer = nn.Conv2d(3, 8, 3, padding=1).requires_grad_(False)
    image = torch.randn(1, 3, 12, 12)
    into = torch.empty(1, 12, 12, 8)
    first = FirstConvolution(layer)
    planes = functional.pad(image[0], (1, 1, 1, 1))
    for rows in shares(12, 3):
        first.run(planes, into, rows, Scratch())
    assert torch.allclose(into.permute(0, 3, 1, 2), layer(image).relu(), atol=1e-4)


@pytest.mark.parametrize(("count", "threads", "most"), [(1, 1, 4), (7, 2, 16), (32, 2, 4), (5, 4, 1), (33, 3, 256)])
def test_groups_are_even_and_hold_every_image_once(count: int, threads: int, most: int) -> None:
    groups = groups_of(count, threads, most)
    assert [row for group in groups for row in range(group.start, group.stop)] == list(range(count))
    sizes = [group.stop - group.start for group in groups]
    assert max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1
    assert len(groups) == count or len(groups) % threads == 0


def test_scratch_grows_and_is_used_again() -> None:
    scratch = Scratch()
    small = scratch.take("a", 2, 3)
    assert scratch.take("a", 3, 2).data_ptr() == small.data_ptr()
    assert scratch.take("a", 5, 5).shape == (5, 5)
    assert scratch.take("b", 2, 3).data_ptr() != scratch.take("a", 2, 3).data_ptr()


def test_the_pools_threads_are_limited_and_nobody_else() -> None:
    if not single_threads.limits():
        pytest.skip("this torch has no call that limits one thread")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        seen: list[tuple[int, str]] = []
        pool = SingleThreads(2, "limited")
        pool.map(lambda _: seen.append((torch.get_num_threads(), threading.current_thread().name)), range(4))
        assert {count for count, _ in seen} == {1}
        assert all(name.startswith("limited") for _, name in seen)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_without_such_calls_the_pool_has_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single_threads, "limits", list)
    assert SingleThreads(4, "one").count == 1


def test_an_error_of_a_thread_comes_to_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        SingleThreads(1, "fails").map(lambda number: 1 // number, [1, 0])


@pytest.mark.parametrize("pooled", [False, True])
def test_the_compiled_loop_gives_the_same_bits_as_the_plain_one(pooled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    random = torch.Generator().manual_seed(4)
    weight, bias = torch.randn(7, 5, 3, 3, generator=random), torch.randn(7, generator=random)
    layer = WinogradConvolution(transformed(weight), bias, pooled=pooled)
    blob = empty_blob(3, 8, 5)
    inside(blob).copy_(torch.randn(3, 8, 8, 5, generator=random))
    found = []
    for convolve in (winograd_tiles.convolve, winograd_tiles.convolve_tiles):
        monkeypatch.setattr(winograd, "convolve", convolve)
        into = torch.empty(3, 4 if pooled else 8, 4 if pooled else 8, 7)
        layer.run(blob, into, 8, Scratch())
        found.append(into)
    assert torch.equal(*found)


def test_the_loop_is_compiled() -> None:
    assert isinstance(winograd_tiles.convolve, torch.jit.ScriptFunction)
