"""Gradient times error: the places' shares of a distance sum to it, through any window."""

from __future__ import annotations

import pytest
import torch

from models.heads.mkd.shares import shares, sharpened, told, with_mean
from models.heads.mkd.views import View, Whitening


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        *((f"pool3:{window}", ((5,), (5, 5))) for window in (0, 25, 100)),
        ("pool3:0:place", ((8, 8, 5), (64, 4, 4), (5, 4))),
        ("pool3:25:place", ((8, 8, 5), (49, 4, 4), (5, 4))),
    ],
)
def test_shares_of_windows_sum_to_the_logarithms_of_their_distances(
    text: str, shapes: tuple[tuple[int, ...], ...]
) -> None:
    generator = torch.Generator().manual_seed(len(shapes))
    view = View.model_validate(text)
    parts = ("mean", "matrix", "projection")
    tensors = {
        f"{view.key}.{part}": torch.rand(shape, generator=generator, dtype=torch.float64)
        for part, shape in zip(parts, shapes, strict=False)
    }
    whitening = Whitening((view,), tensors)
    errors = torch.rand((2, 5, 8, 8), generator=generator, dtype=torch.float64)
    reduced = whitening.reduced(view, errors).requires_grad_(True)
    distances = whitening.measured(view, reduced)
    torch.testing.assert_close(distances, whitening.distance(view, errors), rtol=1e-12, atol=0)

    # Euler: a distance is homogeneous of degree 2 in the centred errors.
    (plain,) = torch.autograd.grad(distances.sum(), reduced, retain_graph=True)
    exact = (plain * reduced.detach()).sum(dim=(1, 2, 3)) / 2
    torch.testing.assert_close(exact, distances.detach().sum(dim=(1, 2)), rtol=1e-9, atol=0)

    (gradient,) = torch.autograd.grad(told({view: distances}, {view: 0.5}), reduced)
    found = shares(gradient, reduced.detach()).mean(dim=(1, 2))
    torch.testing.assert_close(found, 0.5 * distances.detach().log1p().mean(dim=(1, 2)), rtol=1e-9, atol=0)


def test_a_single_place_keeps_its_own_logarithm() -> None:
    view = View(tap="pool3", window=0)
    whitening = Whitening((view,), {f"{view.key}.mean": torch.zeros(3), f"{view.key}.matrix": torch.eye(3)})
    errors = torch.rand((1, 3, 4, 4), generator=torch.Generator().manual_seed(0))
    reduced = whitening.reduced(view, errors).requires_grad_(True)
    distances = whitening.measured(view, reduced)
    (gradient,) = torch.autograd.grad(told({view: distances}, {view: 1.0}), reduced)
    torch.testing.assert_close(shares(gradient, reduced.detach()), distances.detach().log1p(), rtol=1e-4, atol=1e-6)


def test_an_error_that_is_as_usual_has_no_share_and_no_fault() -> None:
    view = View(tap="pool3", window=0)
    whitening = Whitening((view,), {f"{view.key}.mean": torch.ones(3), f"{view.key}.matrix": torch.eye(3)})
    reduced = whitening.reduced(view, torch.ones((1, 3, 4, 4))).requires_grad_(True)
    (gradient,) = torch.autograd.grad(told({view: whitening.measured(view, reduced)}, {view: 1.0}), reduced)
    assert bool((shares(gradient, reduced.detach()) == 0).all())


def test_sharpening_keeps_each_maps_mean_and_follows_the_gradient() -> None:
    maps, gradients = torch.ones((2, 4, 4)), torch.ones((2, 4, 4))
    gradients[1, 2, 2] = 100.0
    found = sharpened(maps, gradients, 0.125)
    torch.testing.assert_close(found.mean(dim=(1, 2)), torch.ones(2))
    torch.testing.assert_close(found[0], maps[0])
    assert int(found[1].argmax()) == 10
    assert bool(sharpened(maps, torch.zeros_like(maps), 0.125).isfinite().all())


def test_a_map_that_sums_to_nothing_is_left_as_it_is() -> None:
    empty = torch.zeros((1, 4, 4))
    assert torch.equal(with_mean(empty, torch.tensor([3.0])), empty)
