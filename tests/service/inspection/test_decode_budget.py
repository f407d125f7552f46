"""An image that takes too long to decode costs its own answer, and no other image waits for it."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Iterator

import pytest

from service.inspection import thread_pool
from service.inspection.thread_pool import OverBudget, WorkerThreads

BUDGET_S = 0.05


class Endless:
    """A call that computes until it is told to end."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.end = threading.Event()
        self.ended = threading.Event()

    def __call__(self) -> None:
        self.begun.set()
        while not self.end.is_set():
            sum(range(1000))
        self.ended.set()


@pytest.fixture
def endless() -> Iterator[Endless]:
    call = Endless()
    yield call
    call.end.set()


def test_a_call_over_its_budget_fails_alone_and_its_thread_is_replaced(endless: Endless) -> None:
    told: list[int] = []

    async def check() -> None:
        threads = WorkerThreads(1, BUDGET_S, lambda: told.append(1))
        with pytest.raises(OverBudget):
            await threads.run(endless)
        assert not endless.ended.is_set()
        assert await threads.run(lambda: 7) == 7  # one thread there was, and it is still busy
        assert threads.live()
        endless.end.set()
        assert await asyncio.to_thread(endless.ended.wait, 60)
        assert await threads.run(lambda: 8) == 8
        threads.close()

    asyncio.run(check())
    assert told == [1]


def test_one_that_waits_without_computing_is_over_its_budget_too() -> None:
    release = threading.Event()

    async def check() -> None:
        threads = WorkerThreads(1, 0.02)
        with pytest.raises(OverBudget):
            await threads.run(lambda: release.wait(60))
        assert await threads.run(lambda: 7) == 7
        release.set()
        threads.close()

    asyncio.run(check())


def test_a_call_that_nobody_waits_for_any_more_is_still_watched(endless: Endless) -> None:
    told = threading.Event()

    async def check() -> None:
        threads = WorkerThreads(1, BUDGET_S, told.set)
        asked = asyncio.ensure_future(threads.run(endless))
        assert await asyncio.to_thread(endless.begun.wait, 60)
        asked.cancel()
        assert await threads.run(lambda: 7) == 7
        assert told.is_set()
        endless.end.set()
        threads.close()

    asyncio.run(check())


def test_time_in_the_queue_is_no_part_of_the_budget() -> None:
    async def check() -> None:
        threads = WorkerThreads(1, 0.1)
        slow = [threads.run(time.sleep, 0.3) for _ in range(4)]  # asleep, so within its processor time
        assert await asyncio.gather(*slow) == [None] * 4
        threads.close()

    asyncio.run(check())


def test_too_many_threads_that_never_end_ask_for_a_new_process(
    endless: Endless, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread_pool, "MOST_LEFT", 2)

    async def check() -> None:
        threads = WorkerThreads(2, BUDGET_S)
        for _ in range(2):
            with pytest.raises(OverBudget):
                await threads.run(endless)
        assert not threads.live()
        endless.end.set()
        threads.close()

    asyncio.run(check())


def test_errors_and_results_come_through_and_a_close_waits_for_what_runs() -> None:
    begun, done = threading.Event(), list[int]()

    def work() -> None:
        begun.set()
        time.sleep(0.05)
        done.append(1)

    async def check() -> None:
        threads = WorkerThreads(2)
        with pytest.raises(ZeroDivisionError):
            await threads.run(lambda: 1 / 0)
        running = asyncio.ensure_future(threads.run(work))
        assert await asyncio.to_thread(begun.wait, 60)
        await asyncio.to_thread(threads.close)
        assert done == [1]
        await running

    asyncio.run(check())


def test_a_call_that_is_given_up_before_it_began_is_no_overrun_and_the_threads_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(thread_pool, "WALL_TIMES", 2.0)
    told: list[int] = []

    async def check() -> None:
        threads = WorkerThreads(1, BUDGET_S, lambda: told.append(1))
        gate, passed = threading.Event(), threading.Event()
        first = asyncio.create_task(threads.run(gate.wait))
        second = asyncio.create_task(threads.run(passed.set))
        await asyncio.sleep(0)
        second.cancel()  # the future at once, the task in the next turn
        gate.set()
        third = asyncio.create_task(threads.run(passed.set))
        hold_up(threads)  # the thread takes the second one, whose task has not gone on yet
        await asyncio.gather(first, second, return_exceptions=True)
        await third
        await asyncio.sleep(4 * BUDGET_S)
        await asyncio.to_thread(threads.close)

    asyncio.run(asyncio.wait_for(check(), 20))
    assert told == []


def hold_up(threads: WorkerThreads) -> None:
    """The event loop, until all calls have been taken."""
    while not threads._calls.empty():
        time.sleep(0.001)


def test_a_sign_to_end_reaches_the_threads_it_is_meant_for() -> None:
    calls: queue.SimpleQueue[thread_pool._Call | None] = queue.SimpleQueue()
    left, listed = thread_pool._Worker(calls, 1), thread_pool._Worker(calls, 2)
    left.start()
    while calls.empty() and not left.is_alive():
        time.sleep(0.001)
    left.is_left = True  # while it waits for its next call
    calls.put(None)
    left.join(20)
    listed.start()
    listed.join(20)
    assert not left.is_alive()
    assert not listed.is_alive()
    calls.put(None)
