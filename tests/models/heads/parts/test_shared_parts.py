"""What several methods share, against plain numpy or another library: nearest, coreset, Gaussians, patches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from models.backends.single_threads import SingleThreads
from models.heads.parts import nearest as nearest_module
from models.heads.parts import products
from models.heads.parts.coreset import coreset, projection
from models.heads.parts.gaussians import PlaceMoments, mahalanobis, whitening_factor
from models.heads.parts.nearest import Bank, nearest
from models.heads.parts.patches import patch_features, projected_features
from models.heads.parts.picture_score import picture_scores


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_threads_that_share_the_bank_find_the_same_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "SHARED_PRODUCTS", 0)
    queries, vectors = randn(40, 12), randn(101, 12, seed=1)
    bank = Bank(vectors.half(), vectors.half().float().square().sum(dim=1) / 2)
    sizes: list[int] = []
    search = nearest_module._nearest_of

    def watched(given: torch.Tensor, part: Bank, piece: int) -> tuple[torch.Tensor, torch.Tensor]:
        sizes.append(len(part.vectors))
        return search(given, part, piece)

    monkeypatch.setattr(nearest_module, "_nearest_of", watched)
    threads, shared = SingleThreads(2, "test"), list[tuple[torch.Tensor, torch.Tensor]]()
    threads.alone(lambda given: shared.append(nearest(given, bank)), queries)
    assert sorted(sizes) == ([50, 51] if threads.count > 1 else [101])
    distances, index = nearest(queries, bank)
    assert torch.equal(shared[0][0], distances)
    assert torch.equal(shared[0][1], index)


def test_nearest_is_that_of_all_distances_whatever_the_pieces() -> None:
    queries, bank = randn(50, 12), randn(70, 12, seed=1)
    expected = torch.cdist(queries, bank).min(dim=1)
    for piece in (1, 4 * 70 * 3, 1 << 20):
        distances, index = nearest(queries, Bank.of(bank), piece)
        torch.testing.assert_close(distances, expected.values, rtol=1e-4, atol=1e-4)
        assert torch.equal(index, expected.indices)


def test_threads_that_share_the_vectors_multiply_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "SHARED_PRODUCTS", 0)
    vectors, matrix = randn(2, 5, 7, 6), randn(6, 4, seed=1)
    seen: list[torch.Tensor] = []
    SingleThreads(2, "test").alone(lambda given: seen.append(products.product(given, matrix)), vectors)
    torch.testing.assert_close(seen[0], vectors @ matrix)
    torch.testing.assert_close(products.product(vectors, matrix), vectors @ matrix)


def test_a_vector_of_the_bank_lies_next_to_itself() -> None:
    bank = randn(30, 5)
    distances, index = nearest(bank, Bank.of(bank))
    assert float(distances.max()) < 2e-3
    assert torch.equal(index, torch.arange(30))


def test_the_coreset_is_the_greedy_k_centre_selection() -> None:
    vectors = randn(60, 4)
    generator = torch.Generator().manual_seed(3)
    chosen = coreset(vectors, 12, generator)
    assert len(set(chosen.tolist())) == 12
    table = torch.cdist(vectors, vectors)
    for count in range(1, 12):
        farthest = table[:, chosen[:count]].min(dim=1).values
        assert farthest[chosen[count]] == pytest.approx(float(farthest.max()), rel=1e-4)


def test_a_coreset_leaves_no_vector_as_far_as_random_ones_do() -> None:
    vectors = torch.cat((randn(300, 3) * 0.1, randn(6, 3, seed=1) * 5))
    chosen = coreset(vectors, 20, torch.Generator().manual_seed(0))
    random = torch.randperm(len(vectors), generator=torch.Generator().manual_seed(0))[:20]
    radius, other = (float(torch.cdist(vectors, vectors[kept]).min(dim=1).values.max()) for kept in (chosen, random))
    assert radius < 0.5 * other


def test_projection_keeps_distances_about_as_they_are() -> None:
    vectors = randn(40, 900)
    before, after = torch.pdist(vectors), torch.pdist(vectors @ projection(900, torch.Generator().manual_seed(0)))
    assert float((after / before - 1).abs().max()) < 0.35
    assert torch.equal(projection(100, torch.Generator()), torch.eye(100))


def test_moments_by_place_are_numpys_and_do_not_depend_on_the_batches() -> None:
    vectors = randn(20, 6, 5)
    moments = PlaceMoments(6, 5)
    for part in (vectors[:7], vectors[7:]):
        moments.add(part)
    mean, covariance = moments.by_place()
    for place in range(6):
        np.testing.assert_allclose(mean[place], vectors[:, place].mean(dim=0), atol=1e-6)
        np.testing.assert_allclose(covariance[place], np.cov(vectors[:, place].numpy().T), atol=1e-6)
    with pytest.raises(ValueError, match="at least two images"):
        PlaceMoments(6, 5).by_place()


@pytest.mark.parametrize("places", [1, 6])
def test_the_distance_is_mahalanobis(places: int) -> None:
    vectors, spread = randn(4, 6, 5), randn(places, 5, 9, seed=2)
    covariance = (spread @ spread.transpose(1, 2)).double() / 9
    mean = randn(places, 5, seed=3)
    found = mahalanobis(vectors, mean, whitening_factor(covariance, 0.01).float())
    inverse = torch.linalg.inv(covariance + 0.01 * torch.eye(5))
    centred = (vectors - mean).double()
    expected = torch.einsum("bpc,pcd,bpd->bp", centred, inverse.expand(6, 5, 5), centred).sqrt()
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


def test_patches_are_averages_over_neighbours_on_one_grid() -> None:
    fine, middle, coarse = randn(2, 3, 16, 16), randn(2, 4, 8, 8, seed=1), randn(2, 5, 4, 4, seed=2)
    taps = {"a": fine, "b": middle, "c": coarse}
    found = patch_features(taps, ("a", "b", "c"), "b", (2.0, 1.0, 1.0))
    assert found.shape == (2, 8, 8, 12)
    inside = middle[:, :, 2:5, 3:6].mean(dim=(2, 3))
    torch.testing.assert_close(found[:, 3, 4, 3:7], inside)
    around = functional.avg_pool2d(fine / 2, 3, 1, 1, count_include_pad=False)
    torch.testing.assert_close(found[..., :3].permute(0, 3, 1, 2), functional.avg_pool2d(around, 2))
    projection = randn(12, 6, seed=5)
    projected = projected_features(taps, ("a", "b", "c"), "b", (2.0, 1.0, 1.0), projection)
    torch.testing.assert_close(projected, found @ projection, rtol=1e-4, atol=1e-4)


def test_the_score_of_a_picture_is_its_highest_place_or_the_mean_of_the_few_highest() -> None:
    places = torch.tensor([[1.0, 5.0, 2.0, 4.0], [0.0, 0.0, 8.0, 0.0]])
    assert picture_scores(places, 0.0).tolist() == [5.0, 8.0]
    assert picture_scores(places, 0.5).tolist() == [4.5, 4.0]
    assert torch.equal(picture_scores(places[:1], 0.5), picture_scores(places, 0.5)[:1])
