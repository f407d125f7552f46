"""The queue and the threads that take from it: who wakes, who gets what, and tasks in between."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from service.engine.batcher import MaintenanceTask
from service.engine.forming import Batch
from service.errors import NotReady

if TYPE_CHECKING:
    from tests.service.engine.conftest import OpenBench


def test_a_blocked_worker_wakes_for_a_job_and_for_the_end(open_bench: OpenBench) -> None:
    bench = open_bench(blocks=True)
    taken: list[object] = []

    def work() -> None:
        while (batch := bench.batcher.take("cpu", bench.limit(), lambda: False)) is not None:
            taken.append(batch)

    thread = threading.Thread(target=work)
    thread.start()
    bench.batcher.submit(bench.images(1))
    bench.batcher.close()
    thread.join(10)
    assert not thread.is_alive()
    assert len(taken) == 1


def test_jobs_are_held_by_the_worker_before_they_leave_the_queue(open_bench: OpenBench) -> None:
    bench = open_bench(blocks=True)
    bench.batcher.submit(bench.images(2))
    in_queue: list[int] = []
    bench.batcher.take("cpu", bench.limit(), lambda: False, lambda _: in_queue.append(len(bench.batcher)))
    assert in_queue == [2]


def test_idle_devices_share_what_there_is(open_bench: OpenBench) -> None:
    bench = open_bench(blocks=True)
    taken: dict[str, int] = {}
    both_wait = threading.Barrier(3)

    def work(device: str) -> None:
        def waiting() -> bool:
            return False

        both_wait.wait(10)
        work = bench.batcher.take(device, bench.limit(images=100), waiting)
        assert isinstance(work, Batch)
        taken[device] = len(work.images)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("cuda:0", "cuda:1")]
    for thread in threads:
        thread.start()
    both_wait.wait(10)
    while bench.batcher._idle_takers < 2:
        pass
    bench.batcher.submit(bench.images(8))
    for thread in threads:
        thread.join(10)
    assert taken == {"cuda:0": 4, "cuda:1": 4}


def test_a_chore_goes_to_its_own_device_before_the_next_batch(open_bench: OpenBench) -> None:
    bench = open_bench(blocks=True)
    bench.batcher.submit(bench.images(1))
    done = bench.batcher.add_task("cuda:1", lambda _: None)
    assert isinstance(bench.batcher.take("cuda:0", bench.limit(), lambda: False), Batch)
    task = bench.batcher.take("cuda:1", bench.limit(), lambda: False)
    assert isinstance(task, MaintenanceTask)
    task.end()
    assert done.result(1) is None


def test_chores_of_a_lost_device_end_with_the_reason(open_bench: OpenBench) -> None:
    bench = open_bench(blocks=True)
    done = bench.batcher.add_task("cpu", lambda _: None)
    bench.batcher.fail_tasks("cpu", NotReady("lost"))
    with pytest.raises(NotReady):
        done.result(1)
