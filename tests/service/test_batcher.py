"""The queue alone: a manual clock, no thread, no device."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.engine.batcher import Batcher, Chore, Look
from service.engine.forming import Batch
from service.engine.job import Job
from service.engine.pace import Pace
from service.errors import DeadlineExceeded, NotReady, Overloaded, ShuttingDown


@dataclass
class Limit:
    images: int = 4
    pixels: int = 1000


@dataclass
class Bench:
    """A batcher with everything that it touches."""

    max_queued: int = 100
    wait_s: float = 0.0
    now: float = 100.0
    pace: Pace = field(default_factory=Pace)
    dropped: list[tuple[str, Job]] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.batcher = Batcher(
            max_queued=self.max_queued,
            wait_s=self.wait_s,
            pace=self.pace,
            dropped=lambda stage, jobs: self.dropped.extend((stage, job) for job in jobs),
            clock=lambda: self.now,
            depth=self.depths.append,
        )

    def look(self, limit: Limit | None = None) -> Look:
        return self.batcher.look(limit or Limit())

    def batch(self, limit: Limit | None = None) -> Batch:
        found = self.look(limit).batch
        assert found is not None
        return found


def jobs(count: int, pixels: int = 10, deadline: float | None = None) -> list[Job]:
    return [Job(payload=number, pixels=pixels, deadline=deadline) for number in range(count)]


def test_an_idle_device_gets_a_single_job_at_once() -> None:
    bench = Bench()
    bench.batcher.submit(jobs(1))
    batch = bench.batch()
    assert (len(batch.jobs), batch.reason) == (1, "idle")


def test_what_piled_up_leaves_together_in_order_of_arrival() -> None:
    bench = Bench()
    first, second = jobs(2), jobs(1)
    bench.batcher.submit(first)
    bench.batcher.submit(second)
    assert bench.batch().jobs == [*first, *second]
    assert len(bench.batcher) == 0


def test_a_batch_is_bounded_by_count() -> None:
    bench = Bench()
    bench.batcher.submit(jobs(6))
    batch = bench.batch(Limit(images=4))
    assert (len(batch.jobs), batch.reason) == (4, "full")
    assert len(bench.batch(Limit(images=4)).jobs) == 2


def test_a_batch_is_bounded_by_pixels() -> None:
    bench = Bench()
    bench.batcher.submit(jobs(3, pixels=400))
    batch = bench.batch(Limit(images=10, pixels=1000))
    assert (len(batch.jobs), batch.reason) == (2, "full")


def test_an_image_larger_than_the_pixel_limit_goes_alone_instead_of_never() -> None:
    bench = Bench()
    bench.batcher.submit(jobs(2, pixels=5000))
    assert len(bench.batch(Limit(pixels=1000)).jobs) == 1


def test_with_a_wait_the_clock_starts_at_the_first_image() -> None:
    bench = Bench(wait_s=0.5)
    bench.batcher.submit(jobs(1))
    bench.now += 0.3
    bench.batcher.submit(jobs(1))
    look = bench.look()
    assert look.batch is None
    assert look.wait_s == pytest.approx(0.2)
    bench.now += 0.2
    batch = bench.batch()
    assert (len(batch.jobs), batch.reason) == (2, "waited")


def test_a_full_batch_does_not_wait() -> None:
    bench = Bench(wait_s=10)
    bench.batcher.submit(jobs(4))
    assert bench.batch(Limit(images=4)).reason == "full"


def test_images_that_waited_while_the_device_was_busy_do_not_wait_again() -> None:
    bench = Bench(wait_s=0.5)
    bench.batcher.submit(jobs(2))
    bench.now += 3
    assert bench.batch().reason == "waited"


def test_waiting_for_company_does_not_make_an_image_late() -> None:
    bench = Bench(wait_s=1.0)
    bench.pace.observe(1, 10, 0.2)
    bench.batcher.submit(jobs(1, deadline=bench.now + 0.5))
    assert bench.look().wait_s == pytest.approx(0.3)
    bench.now += 0.3
    assert bench.batch().reason == "deadline"


def test_closing_releases_what_waits() -> None:
    bench = Bench(wait_s=60)
    bench.batcher.submit(jobs(2))
    bench.batcher.close()
    assert bench.batch().reason == "drain"


def test_nothing_is_taken_in_after_closing() -> None:
    bench = Bench()
    bench.batcher.close()
    with pytest.raises(ShuttingDown):
        bench.batcher.submit(jobs(1))


def test_a_full_queue_refuses_all_of_a_request_or_none() -> None:
    bench = Bench(max_queued=3)
    bench.batcher.submit(jobs(2))
    with pytest.raises(Overloaded):
        bench.batcher.submit(jobs(2))
    assert len(bench.batcher) == 2


def test_a_full_queue_says_when_to_come_again_by_the_measured_rate() -> None:
    bench = Bench(max_queued=20)
    bench.pace.observe(10, 100, 2.0)
    bench.batcher.submit(jobs(20))
    with pytest.raises(Overloaded) as refused:
        bench.batcher.submit(jobs(1))
    assert refused.value.retry_after == pytest.approx(4.0)


def test_an_expired_job_is_answered_and_never_batched() -> None:
    bench = Bench()
    late, good = jobs(1, deadline=bench.now + 1), jobs(1)
    bench.batcher.submit([*late, *good])
    bench.now += 2
    look = bench.look()
    assert look.batch is not None
    assert look.batch.jobs == good
    assert look.dropped == [("queue", late[0])]
    assert isinstance(late[0].error, DeadlineExceeded)


def test_a_job_that_cannot_be_ready_in_time_is_answered_before_the_step() -> None:
    bench = Bench()
    bench.pace.observe(1, 10, 0.5)
    hopeless = jobs(1, deadline=bench.now + 0.4)
    bench.batcher.submit(hopeless)
    look = bench.look()
    assert look.batch is None
    assert look.dropped == [("hopeless", hopeless[0])]


def test_an_estimate_that_refuses_everything_is_doubted_until_it_is_measured_again() -> None:
    bench = Bench()
    bench.pace.observe(1, 10, 5.0)
    for _ in range(20):
        bench.batcher.submit(jobs(1, deadline=bench.now + 0.5))
        if bench.look().batch is not None:
            return
    pytest.fail("twenty requests in a row were refused on one old measurement")


def test_a_batch_stops_growing_where_it_would_make_an_image_late() -> None:
    bench = Bench()
    bench.pace.observe(1, 10, 0.1)
    bench.pace.observe(8, 80, 0.8)
    bench.batcher.submit(jobs(8, deadline=bench.now + 0.35))
    batch = bench.batch(Limit(images=8))
    assert (len(batch.jobs), batch.reason) == (3, "deadline")


def test_a_cancelled_job_leaves_the_queue_at_once() -> None:
    bench = Bench()
    gone, stays = jobs(1), jobs(1)
    bench.batcher.submit([*gone, *stays])
    assert gone[0].cancel()
    assert bench.batcher.discard(gone) == 1
    assert bench.batcher.discard(gone) == 0
    assert bench.batch().jobs == stays


def test_a_job_in_hand_of_a_dead_worker_comes_first_and_alone() -> None:
    bench = Bench()
    others, again = jobs(3), jobs(2)
    bench.batcher.submit(others)
    bench.batcher.requeue(again)
    batches = [bench.batch() for _ in range(3)]
    assert [batch.jobs for batch in batches] == [[again[0]], [again[1]], others]
    assert [batch.reason for batch in batches] == ["alone", "alone", "idle"]


def test_aborting_answers_everything_that_waits() -> None:
    bench = Bench()
    waiting = jobs(3)
    bench.batcher.submit(waiting)
    assert bench.batcher.abort(lambda: NotReady("no device")) == 3
    assert all(isinstance(job.error, NotReady) for job in waiting)
    assert [stage for stage, _ in bench.dropped] == ["aborted"] * 3


def test_the_depth_is_told_at_every_change() -> None:
    bench = Bench()
    bench.batcher.submit(jobs(3))
    bench.batch(Limit(images=2))
    assert bench.depths == [3, 1]


def test_a_blocked_worker_wakes_for_a_job_and_for_the_end() -> None:
    bench = Bench()
    taken: list[object] = []

    def work() -> None:
        while (batch := bench.batcher.take("cpu", Limit(), lambda: False)) is not None:
            taken.append(batch)

    thread = threading.Thread(target=work)
    thread.start()
    bench.batcher.submit(jobs(1))
    bench.batcher.close()
    thread.join(10)
    assert not thread.is_alive()
    assert len(taken) == 1


def test_jobs_are_held_by_the_worker_before_they_leave_the_queue() -> None:
    bench = Bench()
    bench.batcher.submit(jobs(2))
    in_queue: list[int] = []
    bench.batcher.take("cpu", Limit(), lambda: False, lambda _: in_queue.append(len(bench.batcher)))
    assert in_queue == [2]


def test_idle_devices_share_what_there_is() -> None:
    bench = Bench()
    taken: dict[str, int] = {}
    both_wait = threading.Barrier(3)

    def work(device: str) -> None:
        def waiting() -> bool:
            return False

        both_wait.wait(10)
        work = bench.batcher.take(device, Limit(images=100), waiting)
        assert isinstance(work, Batch)
        taken[device] = len(work.jobs)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("cuda:0", "cuda:1")]
    for thread in threads:
        thread.start()
    both_wait.wait(10)
    while bench.batcher._idle_takers < 2:
        pass
    bench.batcher.submit(jobs(8))
    for thread in threads:
        thread.join(10)
    assert taken == {"cuda:0": 4, "cuda:1": 4}


def test_a_chore_goes_to_its_own_device_before_the_next_batch() -> None:
    bench = Bench()
    bench.batcher.submit(jobs(1))
    done = bench.batcher.add_chore("cuda:1", lambda _: None)
    assert isinstance(bench.batcher.take("cuda:0", Limit(), lambda: False), Batch)
    chore = bench.batcher.take("cuda:1", Limit(), lambda: False)
    assert isinstance(chore, Chore)
    chore.end()
    assert done.result(1) is None


def test_chores_of_a_lost_device_end_with_the_reason() -> None:
    bench = Bench()
    done = bench.batcher.add_chore("cpu", lambda _: None)
    bench.batcher.fail_chores("cpu", NotReady("lost"))
    with pytest.raises(NotReady):
        done.result(1)


Action = tuple[str, int, float]
ACTIONS = st.lists(
    st.tuples(st.sampled_from(["submit", "take", "cancel", "pass", "requeue"]), st.integers(1, 5), st.floats(0.0, 2.0)),
    max_size=60,
)


@settings(deadline=None)
@given(actions=ACTIONS, wait_s=st.sampled_from([0.0, 0.5]), images=st.integers(1, 6), pixels=st.integers(1, 60))
def test_whatever_happens_every_job_leaves_once_in_order_and_within_the_bounds(
    actions: list[Action], wait_s: float, images: int, pixels: int
) -> None:
    bench = Bench(max_queued=12, wait_s=wait_s)
    bench.pace.observe(1, 10, 0.1)
    limit = Limit(images=images, pixels=pixels)
    accepted: list[Job] = []
    left: list[Job] = []

    def take() -> None:
        look = bench.look(limit)
        left.extend(job for _, job in look.dropped)
        if look.batch is None:
            assert wait_s or not len(bench.batcher)
            return
        assert 1 <= len(look.batch.jobs) <= images
        assert len(look.batch.jobs) == 1 or sum(job.pixels for job in look.batch.jobs) <= pixels
        assert all(job.deadline is None or job.deadline > bench.now for job in look.batch.jobs)
        numbers = [accepted.index(job) for job in look.batch.jobs]
        assert numbers == sorted(numbers)
        for job in look.batch.jobs:
            assert job.answer("verdict", 0.1, len(look.batch.jobs))
        left.extend(look.batch.jobs)

    for kind, count, amount in actions:
        if kind == "submit":
            new = jobs(count, pixels=count * 7, deadline=bench.now + amount if amount < 1 else None)
            try:
                bench.batcher.submit(new)
            except Overloaded:
                assert len(bench.batcher) + count > 12
            else:
                accepted.extend(new)
        elif kind == "take":
            take()
        elif kind == "cancel":
            chosen = [job for job in accepted[-count:] if job.cancel()]
            assert bench.batcher.discard(chosen) == len(chosen)
            left.extend(chosen)
        elif kind == "requeue" and not len(bench.batcher):
            again = jobs(count)
            bench.batcher.requeue(again)
            accepted.extend(again)
        else:
            bench.now += amount
    bench.batcher.close()
    while len(bench.batcher):
        take()
    assert sorted(map(id, left)) == sorted(map(id, accepted))
    assert all(job.settled for job in accepted)


def test_only_the_first_answer_counts() -> None:
    job = Job(payload="pixels")
    outcomes: list[bool] = []
    start = threading.Barrier(8)

    def answer(give: Callable[[], bool]) -> None:
        start.wait(10)
        outcomes.append(give())

    givers = [lambda: job.answer(1.0, 0.1, 1), job.cancel, job.expire, lambda: job.fail(NotReady("no"))] * 2
    threads = [threading.Thread(target=answer, args=(give,)) for give in givers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert outcomes.count(True) == 1
    assert job.payload is None
