"""Distances by each place's matrix in half precision: those of the matrices widened at once, with their gradient."""

from __future__ import annotations

import pytest
import torch

from models.backends.single_threads import SingleThreads
from models.heads.parts import place_distances as module
from models.heads.parts.place_distances import place_distances


@pytest.mark.parametrize("images", [1, 3])
def test_they_are_those_of_all_matrices_in_float32_at_once(images: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(images)
    monkeypatch.setattr(module, "WIDENED_BYTES", 2 * 4 * 8**2)  # two matrices at once, and one is left over
    matrices = torch.randn(7, 8, 8, generator=generator).half()
    vectors = torch.randn(images, 7, 8, generator=generator).requires_grad_(True)
    expected = torch.einsum("bpi,pij->bpj", vectors, matrices.float()).square().mean(dim=-1)
    found = place_distances(vectors, matrices)
    torch.testing.assert_close(found, expected)
    weights = torch.rand(images, 7, generator=generator)
    gradients = [torch.autograd.grad((weights * each).sum(), vectors)[0] for each in (found, expected)]
    torch.testing.assert_close(gradients[0], gradients[1])


def test_an_image_has_the_same_distances_alone_and_among_others() -> None:
    matrices, vectors = torch.randn(70, 128, 128).half(), torch.randn(5, 70, 128)
    together = place_distances(vectors, matrices)
    assert not together.requires_grad
    for row in range(5):
        torch.testing.assert_close(place_distances(vectors[row : row + 1], matrices)[0], together[row])


def test_threads_that_share_the_places_change_no_digit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARED_BYTES", 0)
    monkeypatch.setattr(module, "_ways", lambda *_: module._shared)
    monkeypatch.setattr(module, "WIDENED_BYTES", 10 * 4 * 32**2)
    matrices, vectors = torch.randn(71, 32, 32).half(), torch.randn(1, 71, 32).requires_grad_(True)
    sharing = SingleThreads(2, "test")
    seen: list[int] = []

    class Counted(module._Widened):
        def __init__(self, matrices: torch.Tensor, like: torch.Tensor) -> None:
            super().__init__(matrices, like)
            seen.append(len(matrices))

    monkeypatch.setattr(module, "_Widened", Counted)
    found: list[torch.Tensor] = []
    for run in (sharing.alone, lambda function, argument: function(argument)):
        run(lambda given: found.append(place_distances(given, matrices)), vectors)
    assert sorted(seen[:-1]) == ([35, 36] if sharing.count > 1 else [71])
    assert seen[-1] == 71
    gradients = [torch.autograd.grad(one.sum(), vectors)[0] for one in found]
    assert torch.equal(found[0], found[1])
    assert torch.equal(gradients[0], gradients[1])
