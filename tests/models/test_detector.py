"""A batch is its single images, whatever is mixed in it, on every backend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from models.artifact import Artifact
from models.backends.pool import SourcePool
from models.backends.single_threads import lent_threads
from models.detector import Detector, Judgement, Row
from models.heads.base import HeadOutput
from models.heads.mkd.head import MkdHead
from models.heads.mkd.views import Whitening
from models.imaging.decode import decode_image
from models.imaging.preprocess import Prepared, Preprocessing, prepare
from models.sources.registry import Activations

# Convolutions choose other algorithms for other batch sizes, so the last digits of float32 differ.
SCORE_TOLERANCE = 1e-4
# A gradient jumps where the last digit puts a ReLU or a pool on its other side: a place or two may differ by more.
MAP_TOLERANCE, MAP_TOLERANCE_OF_A_PLACE = 2e-3, 0.03  # of the map's peak, on average and anywhere


@pytest.fixture
def images(good_images: list[bytes], bad_image: bytes, bolt: Artifact) -> list[Prepared]:
    return [prepare(decode_image(data), bolt.preprocessing) for data in [*good_images, bad_image]]


def row(image: Prepared, artifact: Artifact, wants_map: bool = False) -> Row:
    return Row(image, artifact.head, artifact.source, wants_map)


def assert_same(found: Judgement, expected: Judgement) -> None:
    assert found.score == pytest.approx(expected.score, rel=SCORE_TOLERANCE)
    assert (found.map is None) == (expected.map is None)
    if found.map is not None and expected.map is not None:
        difference = np.abs(found.map - expected.map) / expected.map.max()
        assert difference.mean() <= MAP_TOLERANCE
        assert difference.max() <= MAP_TOLERANCE_OF_A_PLACE


def test_a_batch_of_n_equals_n_singles(detector: Detector, images: list[Prepared], bolt: Artifact) -> None:
    rows = [row(image, bolt, wants_map=True) for image in images]
    together = detector.judge(rows)
    assert len({round(one.score, 6) for one in together}) == len(images)  # no row is another one's copy
    for one, found in zip(rows, together, strict=True):
        assert_same(found, detector.judge([one])[0])


def test_mixed_products_in_one_batch_equal_separate_batches(
    detector: Detector, images: list[Prepared], bolt: Artifact, tile: Artifact
) -> None:
    owners = [bolt, tile, tile, bolt, tile, bolt, bolt]
    mixed = detector.judge([row(image, owner, True) for image, owner in zip(images, owners, strict=True)])
    for artifact in (bolt, tile):
        mine = [number for number, owner in enumerate(owners) if owner is artifact]
        alone = detector.judge([row(images[number], artifact, True) for number in mine])
        for number, expected in zip(mine, alone, strict=True):
            assert_same(mixed[number], expected)
    assert mixed[0].score != pytest.approx(detector.judge([row(images[0], tile)])[0].score, rel=0.01)


def test_only_rows_that_asked_get_a_map_and_it_is_their_own(
    detector: Detector, images: list[Prepared], bolt: Artifact, tile: Artifact
) -> None:
    wants = [True, False, True, False, False, True, True]
    owners = [bolt, tile, tile, bolt, bolt, tile, bolt]
    rows = [row(image, owner, want) for image, owner, want in zip(images, owners, wants, strict=True)]
    found = detector.judge(rows)
    assert [one.map is not None for one in found] == wants
    for one, alone in zip(rows, found, strict=True):
        assert_same(alone, detector.judge([one])[0])


def test_a_single_image_of_another_processes_memory_is_judged(
    detector: Detector, images: list[Prepared], bolt: Artifact
) -> None:
    expected = detector.judge([row(images[0], bolt, True)])[0]
    read_only = images[0].copy()
    read_only.setflags(write=False)
    assert_same(detector.judge([row(read_only, bolt, True)])[0], expected)


def test_the_order_of_the_rows_does_not_matter(detector: Detector, images: list[Prepared], bolt: Artifact) -> None:
    forward = detector.judge([row(image, bolt) for image in images])
    backward = detector.judge([row(image, bolt) for image in reversed(images)])
    for one, other in zip(forward, reversed(backward), strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("engine", ["ncnn", "winograd"])
def test_the_engines_agree(
    torch_pool: SourcePool, engine: str, images: list[Prepared], bolt: Artifact, request: pytest.FixtureRequest
) -> None:
    rows = [row(image, bolt, wants_map=True) for image in images]
    other: SourcePool = request.getfixturevalue(f"{engine}_pool")
    pairs = (Detector(pool.device, pool).judge(rows) for pool in (torch_pool, other))
    for reference, fast in zip(*pairs, strict=True):
        assert fast.score == pytest.approx(reference.score, rel=1e-3)
        assert fast.map is not None
        assert reference.map is not None
        assert np.abs(fast.map - reference.map).max() <= 0.01 * reference.map.max()


def test_the_source_runs_once_over_a_batch_of_mixed_products(
    torch_pool: SourcePool, images: list[Prepared], bolt: Artifact, tile: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = torch_pool[bolt.source]
    sizes: list[int] = []
    run = engine.activations

    def counted(batch: torch.Tensor, taps: set[str]) -> dict[str, torch.Tensor]:
        sizes.append(len(batch))
        return run(batch, taps)

    monkeypatch.setattr(engine, "activations", counted)
    Detector(torch_pool.device, torch_pool).judge([row(image, owner) for image in images for owner in (bolt, tile)])
    assert sizes == [2 * len(images)]


def test_every_head_is_asked_once_for_a_batch_of_mixed_products(
    torch_detector: Detector,
    images: list[Prepared],
    bolt: Artifact,
    tile: Artifact,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    judge = MkdHead.judge

    def counted(
        head: MkdHead, batch: torch.Tensor, activations: Activations, wants_map: Sequence[bool], further: None = None
    ) -> HeadOutput:
        asked.append(len(batch))
        return judge(head, batch, activations, wants_map)

    monkeypatch.setattr(MkdHead, "judge", counted)
    torch_detector.judge([row(image, owner) for image in images for owner in (bolt, tile)])
    assert asked == [len(images)] * 2


def test_rows_of_another_size_run_apart_and_come_back_in_their_places(
    torch_detector: Detector, images: list[Prepared], bolt: Artifact, good_images: list[bytes]
) -> None:
    large = prepare(decode_image(good_images[0]), Preprocessing(image_size=64))
    assert isinstance(bolt.head, MkdHead)
    # What is usual at a place belongs to one image size; this head's only view is usual anywhere.
    (view,) = (view for view in bolt.head.record.views if not view.by_place)
    only = {"score_views": (view,), "map_views": (view,), "view_scales": (1.0,)}
    usual = {name: one for name, one in bolt.head.whitening.tensors().items() if name.startswith(f"{view.key}.")}
    sizeless = MkdHead(bolt.head.record.model_copy(update=only), bolt.head.cloner, (), Whitening((view,), usual))
    rows = [row(images[0], bolt, True), Row(large, sizeless, bolt.source, True), row(images[1], bolt, True)]
    found = torch_detector.judge(rows)
    shapes = [one.map.shape for one in found if one.map is not None]
    assert shapes == [(32, 32), (64, 64), (32, 32)]
    for one, alone in zip(rows, found, strict=True):
        assert_same(alone, torch_detector.judge([one])[0])


def test_no_rows_give_no_judgements(torch_detector: Detector) -> None:
    assert torch_detector.judge([]) == []


def test_a_source_that_was_never_built_is_an_error(
    torch_detector: Detector, images: list[Prepared], bolt: Artifact
) -> None:
    with pytest.raises(KeyError):
        torch_detector.judge([Row(images[0], bolt.head, bolt.source._replace(normalisation="unit"))])


def test_threads_share_the_heads_of_a_batch_and_change_nothing(
    torch_pool: SourcePool, images: list[Prepared], bolt: Artifact, tile: Artifact
) -> None:
    rows = [
        row(image, owner, number % 3 == 0)
        for number, (image, owner) in enumerate((image, owner) for image in images for owner in (bolt, tile, bolt))
    ]
    alone = Detector(torch_pool.device, torch_pool).judge(rows)
    torch.set_num_threads(2)
    try:
        shared = Detector(torch_pool.device, torch_pool)
    finally:
        torch.set_num_threads(1)
    for one, other in zip(alone, shared.judge(rows), strict=True):
        assert_same(one, other)


@pytest.mark.parametrize(("policy", "apart"), [("passive", True), ("ACTIVE", False)])
def test_one_image_keeps_to_one_thread_where_others_would_have_to_be_woken(
    torch_pool: SourcePool,
    images: list[Prepared],
    bolt: Artifact,
    monkeypatch: pytest.MonkeyPatch,
    policy: str,
    apart: bool,
) -> None:
    seen: list[tuple[int, int]] = []
    judge = MkdHead.judge

    def watched(
        head: MkdHead, batch: torch.Tensor, activations: Activations, wants_map: Sequence[bool], further: None = None
    ) -> HeadOutput:
        seen.append((torch.get_num_threads(), lent_threads()))
        return judge(head, batch, activations, wants_map)

    monkeypatch.setenv("OMP_WAIT_POLICY", policy)
    monkeypatch.setattr(MkdHead, "judge", watched)
    torch.set_num_threads(2)
    try:
        detector = Detector(torch_pool.device, torch_pool)
        if detector._threads is None or detector._threads.count == 1:
            pytest.skip("torch comes without the calls that limit one thread")
        found = detector.judge([row(images[0], bolt, True)])
    finally:
        torch.set_num_threads(1)
    assert seen == [(1, 2) if apart else (2, 1)]
    monkeypatch.setattr(MkdHead, "judge", judge)
    assert_same(found[0], Detector(torch_pool.device, torch_pool).judge([row(images[0], bolt, True)])[0])


def test_an_error_of_one_piece_is_the_batchs(
    torch_pool: SourcePool, images: list[Prepared], bolt: Artifact, tile: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> HeadOutput:
        raise RuntimeError("this head is broken")

    torch.set_num_threads(2)
    try:
        shared = Detector(torch_pool.device, torch_pool)
    finally:
        torch.set_num_threads(1)
    monkeypatch.setattr(tile.head, "judge", fail)
    with pytest.raises(RuntimeError, match="broken"):
        shared.judge([row(images[0], bolt), row(images[1], tile)])
