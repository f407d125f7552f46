"""Distances are Mahalanobis', 1 on average over what they were fitted on, blind to contrast, and one row at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf
from torch import Tensor
from torch.nn import functional

from models.heads.mkd.usual_errors import UsualErrors
from models.heads.mkd.views import View, Whitening, contrast_errors, distance_map, peak_mean, windows
from models.heads.parts.moments import Moments

VIEWS = (View(tap="pool3", window=0), View(tap="pool3", window=50), View(tap="pool4", window=100))
TAPS = ("pool3", "pool4")


def pair(count: int, seed: int = 0) -> tuple[list[Tensor], list[Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    source = [torch.rand((count, 6, 8, 8), generator=generator), torch.rand((count, 5, 4, 4), generator=generator)]
    return source, [one + 0.1 * torch.randn(one.shape, generator=generator) for one in source]


def fitted(source: list[Tensor], cloner: list[Tensor]) -> Whitening:
    tensors = {}
    for view in VIEWS:
        moments, tap = Moments(), TAPS.index(view.tap)
        moments.add(windows(contrast_errors(source[tap], cloner[tap]), view.window))
        tensors[f"{view.key}.mean"], tensors[f"{view.key}.matrix"] = moments.whitening()
    return Whitening(VIEWS, tensors)


def test_mean_and_covariance_are_those_of_ledoit_and_wolf_whatever_the_batches() -> None:
    torch.manual_seed(0)
    vectors = torch.randn(200, 12) @ torch.randn(12, 12) + 3 * torch.randn(12)
    moments = Moments()
    moments.add(vectors[:77].view(7, 11, 12))
    moments.add(vectors[77:])
    mean, matrix = moments.whitening()
    found = ((vectors - mean.float()) @ matrix.float()).square().sum(dim=1)
    expected = LedoitWolf().fit(vectors.double().numpy()).mahalanobis(vectors.double().numpy())
    np.testing.assert_allclose(found.numpy(), expected, rtol=2e-3)


def test_distances_are_near_1_on_average_over_what_they_were_fitted_on() -> None:
    both = pair(40)
    for distances in fitted(*both).distances(VIEWS, TAPS, *both):
        assert float(distances.mean()) == pytest.approx(1, abs=0.15)


def test_every_view_has_the_windows_that_its_share_of_the_side_gives() -> None:
    both = pair(3)
    shapes = [tuple(one.shape) for one in fitted(*both).distances(VIEWS, TAPS, *both)]
    assert shapes == [(3, 8, 8), (3, 3, 3), (3, 1, 1)]


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    whitening = fitted(*pair(20))
    source, cloner = pair(4, seed=1)
    together = whitening.distances(VIEWS, TAPS, source, cloner)
    alone = whitening.distances(VIEWS, TAPS, [one[2:3] for one in source], [one[2:3] for one in cloner])
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one[2:3], other, rtol=1e-4, atol=1e-5)


def test_a_picture_of_twice_the_contrast_has_the_same_errors() -> None:
    source, cloner = pair(2)
    torch.testing.assert_close(contrast_errors(2 * source[0], 2 * cloner[0]), contrast_errors(source[0], cloner[0]))


def test_a_direction_that_is_always_wrong_counts_less_than_one_that_never_is() -> None:
    source = [torch.ones(30, 4, 8, 8), torch.ones(30, 5, 4, 4)]
    cloner = [one.clone() for one in source]
    cloner[0][:, 0] += torch.randn(30, 8, 8)
    whitening = fitted(source, cloner)
    usual, unusual = torch.zeros(2, 1, 4, 8, 8)
    usual[:, 0], unusual[:, 3] = 1.0, 1.0
    scores = [
        float(whitening.distances(VIEWS[:1], TAPS, [source[0][:1], source[1][:1]], [one, source[1][:1]])[0].mean())
        for one in (source[0][:1] + usual, source[0][:1] + unusual)
    ]
    assert scores[1] > 10 * scores[0]


def test_a_flat_black_picture_gives_numbers() -> None:
    whitening = fitted(*pair(10))
    zeros = [torch.zeros(1, 6, 8, 8), torch.zeros(1, 5, 4, 4)]
    assert all(torch.isfinite(one).all() for one in whitening.distances(VIEWS, TAPS, zeros, zeros))


@pytest.mark.parametrize("power", [1.0, 8.0])
def test_the_peak_mean_lies_between_mean_and_maximum_and_never_overflows(power: float) -> None:
    values = torch.tensor([[[1.0, 2.0], [3.0, 10.0]], [[1e30, 1.0], [1.0, 1.0]]])
    found = peak_mean(values, power)
    assert float(found[0]) == pytest.approx(float((values[0].double() ** power).mean() ** (1 / power)), rel=1e-5)
    assert torch.isfinite(found).all()


def test_the_map_is_the_sum_of_the_views_at_the_picture_s_size() -> None:
    views = {View(tap="pool3", window=0): torch.ones(2, 4, 4), View(tap="pool4", window=100): 2 * torch.ones(2, 1, 1)}
    torch.testing.assert_close(distance_map(views, {"pool3": 4, "pool4": 2}, 32), torch.full((2, 32, 32), 3.0))
    torch.testing.assert_close(
        distance_map(views, {"pool3": 4, "pool4": 2}, 32, log=True), torch.full((2, 32, 32), 6.0).log()
    )


def test_a_map_of_single_places_is_plain_bilinear_interpolation() -> None:
    values = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = functional.interpolate(values[:, None], size=(64, 64), mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(distance_map({View(tap="pool3", window=0): values}, {"pool3": 8}, 64), expected)


@pytest.mark.parametrize("corner", [0, 4, 12])
def test_a_window_lights_the_map_where_it_lies(corner: int) -> None:
    """Windows of 4 places in a tap of 16, each 8 pixels large."""
    errors = torch.zeros(1, 1, 16, 16)
    errors[..., corner : corner + 4, corner : corner + 4] = 1
    seen = windows(errors, 25)[..., 0]
    lit = distance_map({View(tap="pool3", window=25): seen}, {"pool3": 16}, 128)[0]
    assert lit[8 * corner + 16, 8 * corner + 16] == pytest.approx(1, abs=0.06)
    rows = torch.arange(128) + 0.5
    inside = (rows > 8 * corner) & (rows < 8 * (corner + 4))
    assert lit[inside][:, inside].mean() > 2 * lit[~inside][:, ~inside].max()


def test_tensors_of_another_view_are_refused() -> None:
    tensors = fitted(*pair(10)).tensors()
    assert set(Whitening(VIEWS, tensors).tensors()) == set(tensors)
    with pytest.raises(ValueError, match="pool3:0"):
        Whitening(VIEWS[:1], tensors)


@pytest.mark.parametrize("text", ["pool3:25", "pool3:25:place", "pool4:0:place"])
def test_a_view_is_read_from_its_text(text: str) -> None:
    view = View.model_validate(text)
    assert str(view) == text
    assert view.by_place == text.endswith(":place")
    assert View.model_validate(view.model_dump()) == view


@pytest.mark.parametrize("text", ["pool3", "pool3:", "pool3:x", "pool3:25:", "pool3:25:places", ":25", "pool3:101"])
def test_another_text_is_no_view(text: str) -> None:
    with pytest.raises(ValueError, match=r"TAP:WINDOW|less than or equal to 100"):
        View.model_validate(text)


def by_place(text: str, count: int = 60) -> tuple[View, Whitening, list[Tensor]]:
    """Parts whose right half varies ten times as much as the left one."""
    view = View.model_validate(text)
    usual = UsualErrors((view,), seed=0)
    generator = torch.Generator().manual_seed(0)
    batches = []
    for _ in range(count // 10):
        errors = 0.1 * torch.randn((10, 6, 8, 8), generator=generator)
        errors[..., 4:] *= 10
        batches.append(errors + torch.linspace(0, 1, 8))
        usual.add({view.tap: batches[-1]})
    return view, usual.whitening(), batches


@pytest.mark.parametrize("text", ["pool3:0:place", "pool3:25:place"])
def test_what_is_usual_is_said_place_by_place(text: str) -> None:
    view, whitening, batches = by_place(text)
    distances = whitening.distance(view, torch.cat(batches))
    assert distances.shape[1:] == ((8, 8) if view.window == 0 else (7, 7))
    assert float(distances.mean()) == pytest.approx(1, abs=0.2)
    clean = torch.cat(batches).mean(dim=0, keepdim=True)
    left, right = clean.clone(), clean.clone()
    left[..., 3, 1:3] += 0.6
    right[..., 3, 5:7] += 0.6
    assert float(whitening.distance(view, left).amax()) > 10 * float(whitening.distance(view, right).amax())


def test_a_view_by_place_comes_back_from_its_tensors_and_sees_each_row_alone() -> None:
    view, whitening, batches = by_place("pool3:25:place")
    again = Whitening((view,), whitening.tensors())
    torch.testing.assert_close(again.distance(view, batches[0]), whitening.distance(view, batches[0]))
    alone = whitening.distance(view, batches[0][3:4])
    torch.testing.assert_close(whitening.distance(view, batches[0])[3:4], alone, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="pool3:25:place"):
        Whitening((view,), {name: one for name, one in whitening.tensors().items() if "projection" not in name})


def test_a_whitening_without_images_is_refused() -> None:
    with pytest.raises(ValueError, match="training images"):
        Moments().whitening()


def test_parts_that_are_all_alike_have_a_finite_whitening() -> None:
    moments = Moments()
    moments.add(torch.ones(10, 4) + 1e-6 * torch.rand(10, 4, generator=torch.Generator().manual_seed(0)))
    mean, matrix = moments.whitening()
    assert mean.isfinite().all()
    assert matrix.isfinite().all()
    assert matrix.abs().max() > 100, "and it still tells a small change"
