"""The queue alone: what it does not take in, and what leaves it without a batch."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from service.engine.queued_image import QueuedImage
from service.errors import DeadlineExceeded, NotReady, Overloaded, ShuttingDown

if TYPE_CHECKING:
    from tests.service.engine.conftest import OpenBench


def test_nothing_is_taken_in_after_closing(open_bench: OpenBench) -> None:
    bench = open_bench()
    bench.batcher.close()
    with pytest.raises(ShuttingDown):
        bench.batcher.submit(bench.images(1))


def test_a_full_queue_refuses_all_of_a_request_or_none(open_bench: OpenBench) -> None:
    bench = open_bench(max_queued=3)
    bench.batcher.submit(bench.images(2))
    with pytest.raises(Overloaded):
        bench.batcher.submit(bench.images(2))
    assert len(bench.batcher) == 2


def test_a_full_queue_says_when_to_come_again_by_the_measured_rate(open_bench: OpenBench) -> None:
    bench = open_bench(max_queued=20)
    bench.latency.observe(10, 100, 2.0)
    bench.batcher.submit(bench.images(20))
    with pytest.raises(Overloaded) as refused:
        bench.batcher.submit(bench.images(1))
    assert refused.value.retry_after == pytest.approx(4.0)


def test_an_expired_job_is_answered_and_never_batched(open_bench: OpenBench) -> None:
    bench = open_bench()
    late, good = bench.images(1, deadline=bench.now + 1), bench.images(1)
    bench.batcher.submit([*late, *good])
    bench.now += 2
    assert bench.batch().images == good
    assert bench.dropped == [("queue", late[0])]
    assert isinstance(late[0].error, DeadlineExceeded)


def test_a_job_that_cannot_be_ready_in_time_is_answered_before_the_step(open_bench: OpenBench) -> None:
    bench = open_bench()
    bench.latency.observe(1, 10, 0.5)
    hopeless = bench.images(1, deadline=bench.now + 0.4)
    bench.batcher.submit(hopeless)
    assert bench.take() is None
    assert bench.dropped == [("hopeless", hopeless[0])]


def test_an_estimate_that_refuses_everything_is_doubted_until_it_is_measured_again(open_bench: OpenBench) -> None:
    bench = open_bench()
    bench.latency.observe(1, 10, 5.0)
    for _ in range(20):
        bench.batcher.submit(bench.images(1, deadline=bench.now + 0.5))
        if bench.take() is not None:
            return
    pytest.fail("twenty requests in a row were refused on one old measurement")


def test_a_cancelled_job_leaves_the_queue_at_once(open_bench: OpenBench) -> None:
    bench = open_bench()
    gone, stays = bench.images(1), bench.images(1)
    bench.batcher.submit([*gone, *stays])
    assert gone[0].cancel()
    assert bench.batcher.discard(gone) == 1
    assert bench.batcher.discard(gone) == 0
    assert bench.batch().images == stays


def test_aborting_answers_everything_that_waits(open_bench: OpenBench) -> None:
    bench = open_bench()
    waiting = bench.images(3)
    bench.batcher.submit(waiting)
    assert bench.batcher.abort(lambda: NotReady("no device")) == 3
    assert all(isinstance(image.error, NotReady) for image in waiting)
    assert [stage for stage, _ in bench.dropped] == ["aborted"] * 3


def test_the_depth_is_told_at_every_change(open_bench: OpenBench) -> None:
    bench = open_bench()
    bench.batcher.submit(bench.images(3))
    bench.batch(bench.limit(images=2))
    assert bench.depths == [3, 1]


def test_only_the_first_answer_counts() -> None:
    image = QueuedImage(payload="pixels")
    outcomes: list[bool] = []
    start = threading.Barrier(8)

    def answer(give: Callable[[], bool]) -> None:
        start.wait(10)
        outcomes.append(give())

    givers = [lambda: image.answer(1.0, 0.1, 1), image.cancel, image.expire, lambda: image.fail(NotReady("no"))] * 2
    threads = [threading.Thread(target=answer, args=(give,)) for give in givers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert outcomes.count(True) == 1
    assert image.payload is None
