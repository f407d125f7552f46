"""Groups of near-duplicates by the set's own scale, and a split that keeps each on one side."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.cluster.hierarchy import linkage

from trainer.data import split
from trainer.data_checks import spanning_tree
from trainer.data_checks.group_split import split_by_group
from trainer.data_checks.near_duplicates import independent_count, near_duplicate_groups
from trainer.data_checks.pooled import PooledMeans
from trainer.data_checks.spanning_tree import members, merges

Features = npt.NDArray[np.float32]


def scenes(sizes: list[int], spread: float = 0.1, seed: int = 0) -> Features:
    """Frames of scenes that are about 1 apart, each frame `spread` away from its scene, in 40 dimensions."""
    random = np.random.default_rng(seed)
    middles = random.normal(size=(len(sizes), 40)) / np.sqrt(80)
    frames = [
        middle + spread * random.normal(size=(size, 40)) / np.sqrt(80)
        for middle, size in zip(middles, sizes, strict=True)
    ]
    return np.concatenate(frames).astype(np.float32)


def test_frames_of_few_scenes_are_few_groups() -> None:
    labels = near_duplicate_groups(scenes([15] * 6))
    assert labels.tolist() == [number for number in range(6) for _ in range(15)]


@pytest.mark.parametrize(("count", "dimensions"), [(300, 40), (300, 5), (60, 40)])
def test_pictures_that_differ_are_groups_of_their_own(count: int, dimensions: int) -> None:
    features = np.random.default_rng(1).normal(size=(count, dimensions)).astype(np.float32)
    assert independent_count(near_duplicate_groups(features)) >= 0.98 * count


def test_one_odd_picture_does_not_make_the_others_a_group() -> None:
    features = np.random.default_rng(2).normal(size=(80, 40)).astype(np.float32)
    features[0] += 100
    assert independent_count(near_duplicate_groups(features)) >= 78


def test_some_copies_in_a_large_set_are_found() -> None:
    features = np.random.default_rng(3).normal(size=(100, 40)).astype(np.float32)
    features[50] = features[7]
    features[[80, 90]] = features[20] + 0.01
    labels = near_duplicate_groups(features)
    assert labels[50] == labels[7]
    assert labels[80] == labels[90] == labels[20]
    assert independent_count(labels) == 97


@pytest.mark.parametrize("scale", [1e-3, 1e4])
def test_the_scale_of_the_features_does_not_matter(scale: float) -> None:
    features = scenes([5, 1, 9, 3, 2])
    assert (near_duplicate_groups(features * np.float32(scale)) == near_duplicate_groups(features)).all()


def test_a_set_of_copies_is_one_group_and_a_single_scene_is_none() -> None:
    assert near_duplicate_groups(np.ones((6, 4), np.float32)).tolist() == [0] * 6
    assert independent_count(near_duplicate_groups(scenes([30]))) == 30


@pytest.mark.parametrize("count", [0, 1, 2])
def test_tiny_sets_have_labels_too(count: int) -> None:
    assert near_duplicate_groups(np.eye(3, dtype=np.float32)[:count]).tolist() == list(range(count))


def test_features_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        near_duplicate_groups(np.full((4, 2), np.nan, np.float32))


@pytest.mark.parametrize("matrix_rows", [8000, 10])
def test_the_clusters_are_those_of_single_linkage(matrix_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spanning_tree, "MATRIX_ROWS", matrix_rows)
    rows = np.random.default_rng(4).normal(size=(40, 3))
    steps, known = merges(rows), linkage(rows, "single")
    assert [step.height for step in steps] == pytest.approx(known[:, 2].tolist(), rel=1e-5)
    assert [step.size for step in steps] == known[:, 3].astype(int).tolist()
    for number, step in enumerate(steps):
        inside = members(steps, number)
        assert len(set(inside.tolist())) == step.size
        outside = np.setdiff1d(np.arange(40), inside)
        if len(outside):
            gaps = np.linalg.norm(rows[inside][:, None] - rows[outside][None], axis=2)
            assert step.outside == pytest.approx(gaps.min(), rel=1e-5)


def test_the_split_keeps_groups_on_one_side() -> None:
    labels = near_duplicate_groups(scenes([3] * 20))
    for seed in range(5):
        trained, held = split_by_group(labels, 0.2, seed)
        assert sorted(trained + held) == list(range(60))
        assert not set(labels[trained]) & set(labels[held])
        assert 12 <= len(held) <= 18


def test_without_near_duplicates_the_split_is_the_usual_one() -> None:
    assert split_by_group(np.arange(50), 0.2, 3) == split(50, 0.2, 3)


def test_large_groups_are_trained_on_and_two_groups_are_held_out_at_least() -> None:
    labels = np.array([0] * 40 + [1, 1, 2, 2, 3, 3, 4, 4])
    trained, held = split_by_group(labels, 0.1, 0)
    assert 0 in labels[trained]
    assert independent_count(labels[held]) >= 2
    trained, held = split_by_group(np.repeat([0, 1, 2], 20), 0.1, 0)
    assert (len(trained), len(held)) == (20, 40)


def test_two_scenes_are_too_few_to_split() -> None:
    with pytest.raises(ValueError, match="9 pictures are near-duplicates of 2 scenes"):
        split_by_group(np.array([0] * 8 + [1]), 0.2, 0)


def test_pooled_features_count_each_tap_alike() -> None:
    random = torch.Generator().manual_seed(0)
    batches = [
        {"loud": 1000 * torch.rand(3, 4, 5, 5, generator=random), "quiet": torch.rand(3, 2, 2, 2, generator=random)}
        for _ in range(2)
    ]
    pooled = PooledMeans(["loud", "quiet"])
    for batch in batches:
        pooled.add(batch)
    found = pooled.features()
    assert found.shape == (6, 6)
    assert (found[:, :4] ** 2).sum(axis=1).mean() == pytest.approx(1, rel=1e-5)
    assert (found[:, 4:] ** 2).sum(axis=1).mean() == pytest.approx(1, rel=1e-5)
    assert found[0, 0] / found[1, 0] == pytest.approx(
        float(batches[0]["loud"][0, 0].mean() / batches[0]["loud"][1, 0].mean())
    )
