"""The one formula, against a computation by hand and the paper's equations."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from models.heads.mkd.discrepancy import (
    discrepancy_terms,
    location_errors,
    location_map,
    plain_terms,
    power_mean,
    power_val,
    relative_errors,
    weighted_sum,
)


def activations(seed: int, batch: int = 3) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(batch, 4, 6, 6), (batch, 5, 3, 3)]
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def test_a_case_worked_out_by_hand() -> None:
    """One tap, one channel, 1 x 2 places: squared errors 1 and 4, and a cosine of (3 + 8) / (5 sqrt(5))."""
    source = [torch.tensor([[[[3.0, 4.0]]]])]
    cloner = [torch.tensor([[[[1.0, 2.0]]]])]
    val, direction = discrepancy_terms(source, cloner)[0, 0].tolist()
    assert val == pytest.approx((4 + 4) / 2)
    assert direction == pytest.approx(1 - 11 / (5 * 5**0.5))


def test_val_is_eq_1_and_dir_is_eq_3_of_the_paper() -> None:
    source, cloner = activations(1), activations(2)
    terms = discrepancy_terms(source, cloner).numpy()
    for tap, (a_s, a_c) in enumerate(zip(source, cloner, strict=True)):
        for image in range(3):
            s, c = a_s[image].numpy().ravel(), a_c[image].numpy().ravel()
            assert terms[image, tap, 0] == pytest.approx(((s - c) ** 2).sum() / s.size)
            assert terms[image, tap, 1] == pytest.approx(1 - s @ c / (np.linalg.norm(s) * np.linalg.norm(c)))


def test_the_weighted_sum_with_one_and_lambda_is_eq_4() -> None:
    terms = discrepancy_terms(activations(1), activations(2))
    total = weighted_sum(terms, torch.tensor([[1.0, 1.3]] * 2, dtype=torch.float64))
    assert torch.allclose(total, terms[:, :, 0].sum(dim=1) + 1.3 * terms[:, :, 1].sum(dim=1))


def test_a_perfect_copy_has_no_discrepancy() -> None:
    source = activations(1)
    assert discrepancy_terms(source, source).abs().max() < 1e-12


def test_dir_sees_no_difference_of_scale_and_val_does() -> None:
    source = activations(1)
    terms = discrepancy_terms(source, [3 * tensor for tensor in source])
    assert terms[:, :, 1].abs().max() < 1e-12
    assert terms[:, :, 0].min() > 0.1


def test_a_row_depends_on_its_own_image_only() -> None:
    source, cloner = activations(1), activations(2)
    whole = discrepancy_terms(source, cloner, 2.0)
    for row in range(3):
        alone = discrepancy_terms([t[row : row + 1] for t in source], [t[row : row + 1] for t in cloner], 2.0)
        assert torch.equal(whole[row], alone[0])


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_the_power_is_of_the_errors_by_location(power: float) -> None:
    source, cloner = activations(1), activations(2)
    terms = discrepancy_terms(source, cloner, power)
    by_hand = (((source[0] - cloner[0]) ** 2).mean(dim=1) ** power).mean(dim=(1, 2))
    assert torch.allclose(terms[:, 0, 0], by_hand)
    assert torch.equal(terms[:, :, 1], discrepancy_terms(source, cloner)[:, :, 1])


def test_location_errors_average_to_val() -> None:
    source, cloner = activations(1), activations(2)
    errors = location_errors(source[0], cloner[0])
    assert errors.shape == (3, 6, 6)
    assert torch.allclose(errors.mean(dim=(1, 2)), discrepancy_terms(source, cloner)[:, 0, 0])


def test_the_forward_only_map_lights_the_place_that_differs() -> None:
    source = [torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 2, 2)]
    cloner = [source[0].clone(), source[1].clone()]
    cloner[0][0, :, 1, 3] = 2.0
    found = location_map(source, cloner, torch.tensor([[0.5, 9.0], [1.0, 9.0]]), 16)[0]
    assert found.shape == (16, 16)
    y, x = divmod(int(found.argmax()), 16)
    assert (y // 4, x // 4) == (1, 3)
    # An error of 4, its weight, and bilinear upsampling by 4, whose nearest sample lies an eighth of a place off.
    assert float(found.max()) == pytest.approx(4.0 * 0.5 * 7 / 8)
    assert float(found[:, :8].max()) == 0


def test_a_forward_only_map_of_no_taps_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one tap"):
        location_map([], [], torch.zeros(0, 2), 16)


def test_both_networks_must_have_the_same_taps() -> None:
    with pytest.raises(ValueError, match="zip"):
        discrepancy_terms(activations(1), activations(2)[:1])


def test_relative_errors_do_not_see_a_change_of_contrast() -> None:
    source, cloner = activations(1)[0], activations(2)[0]
    assert torch.allclose(relative_errors(3 * source, 3 * cloner), relative_errors(source, cloner))
    assert not torch.allclose(location_errors(3 * source, 3 * cloner), location_errors(source, cloner))


def test_relative_errors_of_a_silent_tap_are_finite() -> None:
    silent = torch.zeros_like(activations(1)[0])
    assert torch.isfinite(relative_errors(silent, silent)).all()


def test_levels_divide_the_errors_of_their_location() -> None:
    source, cloner = activations(1), activations(2)
    usual = [location_errors(a_s, a_c)[0] for a_s, a_c in zip(source, cloner, strict=True)]
    terms = discrepancy_terms([t[:1] for t in source], [t[:1] for t in cloner], levels=usual)
    assert torch.allclose(terms[0, :, 0], torch.ones(len(source), dtype=terms.dtype))


def test_the_power_mean_lies_between_mean_and_maximum_and_leaves_dir_alone() -> None:
    source, cloner = activations(1), activations(2)
    plain = discrepancy_terms(source, cloner)
    pooled = power_mean(discrepancy_terms(source, cloner, 4.0), 4.0)
    highest = torch.stack([location_errors(s, c).amax(dim=(1, 2)) for s, c in zip(source, cloner, strict=True)], dim=1)
    assert (pooled[..., 0] >= plain[..., 0]).all()
    assert (pooled[..., 0] <= highest).all()
    assert torch.equal(pooled[..., 1], plain[..., 1])


def test_terms_that_nobody_wants_are_zero_and_the_others_what_they_were() -> None:
    generator = torch.Generator().manual_seed(3)
    source, cloner = ([torch.rand(2, 4, 3, 3, generator=generator) for _ in range(2)] for _ in range(2))
    every = discrepancy_terms(source, cloner, 2.0)
    found = discrepancy_terms(source, cloner, 2.0, wanted=[(True, False), (False, True)])
    assert torch.equal(found[:, 0, 0], every[:, 0, 0])
    assert torch.equal(found[:, 1, 1], every[:, 1, 1])
    assert not found[:, 0, 1].any()
    assert not found[:, 1, 0].any()


def test_the_written_gradient_of_the_plain_terms_is_the_one_that_autograd_finds() -> None:
    torch.manual_seed(0)
    source, cloner = (torch.randn(3, 4, 2, 2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(plain_terms, (source, cloner))
    apart = torch.stack(
        (
            location_errors(source, cloner).mean(dim=(1, 2)),
            1 - torch.cosine_similarity(source.flatten(1), cloner.flatten(1), dim=1),
        ),
        dim=1,
    )
    assert torch.allclose(plain_terms(source, cloner), apart)


@pytest.mark.parametrize("power", [2.0, 3.0])
def test_the_written_gradient_of_a_power_is_the_one_that_autograd_finds(power: float) -> None:
    torch.manual_seed(0)
    source, cloner = (torch.randn(3, 4, 2, 2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(partial(power_val, power=power), (source, cloner))
    assert torch.allclose(power_val(source, cloner, power), location_errors(source, cloner).pow(power).mean(dim=(1, 2)))
    with torch.no_grad():
        cloner.copy_(source)  # no error: no gradient, and no NaN
    (found,) = torch.autograd.grad(power_val(source.detach(), cloner, power).sum(), cloner)
    assert torch.equal(found, torch.zeros_like(found))
