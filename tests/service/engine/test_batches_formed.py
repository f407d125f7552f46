"""The queue alone: which images leave together, how many, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.engine.queued_image import QueuedImage
from service.errors import Overloaded

if TYPE_CHECKING:
    from tests.service.engine.conftest import OpenBench


def test_an_idle_device_gets_a_single_job_at_once(open_bench: OpenBench) -> None:
    bench = open_bench()
    bench.batcher.submit(bench.images(1))
    batch = bench.batch()
    assert (len(batch.images), batch.reason) == (1, "idle")


def test_what_piled_up_leaves_together_in_order_of_arrival(open_bench: OpenBench) -> None:
    bench = open_bench()
    first, second = bench.images(2), bench.images(1)
    bench.batcher.submit(first)
    bench.batcher.submit(second)
    assert bench.batch().images == [*first, *second]
    assert len(bench.batcher) == 0


def test_a_batch_is_bounded_by_count(open_bench: OpenBench) -> None:
    bench = open_bench()
    bench.batcher.submit(bench.images(6))
    batch = bench.batch(bench.limit(images=4))
    assert (len(batch.images), batch.reason) == (4, "full")
    assert len(bench.batch(bench.limit(images=4)).images) == 2


def test_a_batch_is_bounded_by_pixels(open_bench: OpenBench) -> None:
    bench = open_bench()
    bench.batcher.submit(bench.images(3, pixels=400))
    batch = bench.batch(bench.limit(images=10, pixels=1000))
    assert (len(batch.images), batch.reason) == (2, "full")


def test_an_image_larger_than_the_pixel_limit_goes_alone_instead_of_never(open_bench: OpenBench) -> None:
    bench = open_bench()
    bench.batcher.submit(bench.images(2, pixels=5000))
    assert len(bench.batch(bench.limit(pixels=1000)).images) == 1


def test_with_a_wait_the_clock_starts_at_the_first_image(open_bench: OpenBench) -> None:
    bench = open_bench(wait_s=0.5)
    bench.batcher.submit(bench.images(1))
    bench.now += 0.3
    bench.batcher.submit(bench.images(1))
    assert bench.take() is None
    assert bench.wait_for == pytest.approx(0.2)
    bench.now += 0.2
    batch = bench.batch()
    assert (len(batch.images), batch.reason) == (2, "waited")


def test_a_full_batch_does_not_wait(open_bench: OpenBench) -> None:
    bench = open_bench(wait_s=10)
    bench.batcher.submit(bench.images(4))
    assert bench.batch(bench.limit(images=4)).reason == "full"


def test_images_that_waited_while_the_device_was_busy_do_not_wait_again(open_bench: OpenBench) -> None:
    bench = open_bench(wait_s=0.5)
    bench.batcher.submit(bench.images(2))
    bench.now += 3
    assert bench.batch().reason == "waited"


def test_waiting_for_company_does_not_make_an_image_late(open_bench: OpenBench) -> None:
    bench = open_bench(wait_s=1.0)
    bench.latency.observe(1, 10, 0.2)
    bench.batcher.submit(bench.images(1, deadline=bench.now + 0.5))
    assert bench.take() is None
    assert bench.wait_for == pytest.approx(0.3)
    bench.now += 0.3
    assert bench.batch().reason == "deadline"


def test_closing_releases_what_waits(open_bench: OpenBench) -> None:
    bench = open_bench(wait_s=60)
    bench.batcher.submit(bench.images(2))
    bench.batcher.close()
    assert bench.batch().reason == "drain"


def test_a_batch_stops_growing_where_it_would_make_an_image_late(open_bench: OpenBench) -> None:
    bench = open_bench()
    bench.latency.observe(1, 10, 0.1)
    bench.latency.observe(8, 80, 0.8)
    bench.batcher.submit(bench.images(8, deadline=bench.now + 0.35))
    batch = bench.batch(bench.limit(images=8))
    assert (len(batch.images), batch.reason) == (3, "deadline")


def test_a_job_in_hand_of_a_dead_worker_comes_first_and_alone(open_bench: OpenBench) -> None:
    bench = open_bench()
    others, again = bench.images(3), bench.images(2)
    bench.batcher.submit(others)
    bench.batcher.requeue(again)
    batches = [bench.batch() for _ in range(3)]
    assert [batch.images for batch in batches] == [[again[0]], [again[1]], others]
    assert [batch.reason for batch in batches] == ["alone", "alone", "idle"]


Action = tuple[str, int, float]
ACTIONS = st.lists(
    st.tuples(st.sampled_from(["submit", "take", "cancel", "pass", "requeue"]), st.integers(1, 5), st.floats(0.0, 2.0)),
    max_size=60,
)


@settings(deadline=None)
@given(actions=ACTIONS, wait_s=st.sampled_from([0.0, 0.5]), images=st.integers(1, 6), pixels=st.integers(1, 60))
def test_whatever_happens_every_job_leaves_once_in_order_and_within_the_bounds(
    open_bench: OpenBench, actions: list[Action], wait_s: float, images: int, pixels: int
) -> None:
    bench = open_bench(max_queued=12, wait_s=wait_s)
    bench.latency.observe(1, 10, 0.1)
    limit = bench.limit(images=images, pixels=pixels)
    accepted: list[QueuedImage] = []
    left: list[QueuedImage] = []

    def take() -> None:
        bench.dropped.clear()
        batch = bench.take(limit)
        left.extend(image for _, image in bench.dropped)
        if batch is None:
            assert wait_s or not len(bench.batcher)
            return
        assert 1 <= len(batch.images) <= images
        assert len(batch.images) == 1 or sum(image.pixels for image in batch.images) <= pixels
        assert all(image.deadline is None or image.deadline > bench.now for image in batch.images)
        numbers = [accepted.index(image) for image in batch.images]
        assert numbers == sorted(numbers)
        for image in batch.images:
            assert image.answer("verdict", 0.1, len(batch.images))
        left.extend(batch.images)

    for kind, count, amount in actions:
        if kind == "submit":
            new = bench.images(count, pixels=count * 7, deadline=bench.now + amount if amount < 1 else None)
            try:
                bench.batcher.submit(new)
            except Overloaded:
                assert len(bench.batcher) + count > 12
            else:
                accepted.extend(new)
        elif kind == "take":
            take()
        elif kind == "cancel":
            chosen = [image for image in accepted[-count:] if image.cancel()]
            assert bench.batcher.discard(chosen) == len(chosen)
            left.extend(chosen)
        elif kind == "requeue" and not len(bench.batcher):
            again = bench.images(count)
            bench.batcher.requeue(again)
            accepted.extend(again)
        else:
            bench.now += amount
    bench.batcher.close()
    while len(bench.batcher):
        take()
    assert sorted(map(id, left)) == sorted(map(id, accepted))
    assert all(image.settled for image in accepted)
