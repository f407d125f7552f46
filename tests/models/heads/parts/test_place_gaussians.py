"""A covariance is each place's own where good images tell of it, and one for all places where they do not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.heads.parts.place_gaussians import REGULARISATIONS, SHARES, PlaceFit, PlaceGaussians

PLACES, DIMENSIONS = 6, 5


def vectors(count: int, *, still: bool, seed: int = 0) -> Tensor:
    """(count, P, D): each place has a covariance of its own where parts lie still, else all have the same one."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(PLACES if still else 1, DIMENSIONS, DIMENSIONS, generator=torch.Generator().manual_seed(9))
    mixing = mixing @ torch.diag(torch.tensor([3.0, 1.0, 0.3, 0.1, 0.03]))
    noise = torch.randn(count, PLACES, DIMENSIONS, generator=generator)
    return torch.einsum("npd,pde->npe", noise, mixing.transpose(1, 2).expand(PLACES, -1, -1))


def fit(found: Tensor) -> PlaceFit:
    gaussians = PlaceGaussians()
    for batch in torch.split(found, 17):
        gaussians.add(batch)
    return gaussians.fitted()


def test_many_images_of_parts_that_lie_still_give_each_place_a_covariance_of_its_own() -> None:
    assert fit(vectors(300, still=True)).shared <= SHARES[1]


def test_where_all_places_are_alike_they_share_a_covariance() -> None:
    assert fit(vectors(40, still=False)).shared >= SHARES[-2]


def test_distances_are_mahalanobis_of_the_mixed_covariance() -> None:
    found = vectors(200, still=True).half().float()
    fitted = fit(found)
    own = torch.stack([found[:, place].T.cov() for place in range(PLACES)]).double()
    common = own.mean(dim=0)
    level = common.diagonal().mean() * fitted.regularisation
    covariance = (1 - fitted.shared) * own + fitted.shared * common + level * torch.eye(DIMENSIONS)
    centred = (found - found.mean(dim=0))[3].double()
    expected = torch.einsum("pd,pde,pe->p", centred, torch.linalg.inv(covariance), centred)
    measured = torch.einsum("pd,pde->pe", centred, fitted.factor.double()).square().sum(dim=-1)
    torch.testing.assert_close(measured, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_few_images_share_one_strongly_regularised_covariance(count: int) -> None:
    fitted = fit(vectors(count, still=True))
    assert (fitted.shared, fitted.regularisation) == (SHARES[-1], REGULARISATIONS[-1])
    assert bool(fitted.factor.isfinite().all())


def test_a_copy_of_a_picture_set_aside_is_not_among_those_that_tell_of_it() -> None:
    once = vectors(10, still=False)
    twice = PlaceGaussians()
    twice.add(once.repeat_interleave(2, dim=0))
    by_picture = twice.fitted([number // 2 for number in range(20)])
    by_image = twice.fitted()
    assert (by_picture.shared, by_picture.regularisation) == (fit(once).shared, fit(once).regularisation)
    assert by_image.shared < by_picture.shared, "images that are known already need no caution"


@pytest.mark.parametrize("copies", [2, 4])
def test_copies_of_few_pictures_are_few_pictures(copies: int) -> None:
    gaussians = PlaceGaussians()
    gaussians.add(vectors(7, still=True).repeat_interleave(copies, dim=0))
    fitted = gaussians.fitted([number // copies for number in range(7 * copies)])
    assert (fitted.shared, fitted.regularisation) == (SHARES[-1], REGULARISATIONS[-1])


def test_images_that_are_all_alike_have_a_factor_that_fits_half_precision() -> None:
    fitted = fit(torch.ones(30, PLACES, DIMENSIONS))
    assert bool(fitted.factor.half().isfinite().all())


def test_nothing_added_is_refused() -> None:
    with pytest.raises(ValueError, match="training images"):
        PlaceGaussians().fitted()
