"""What is judged alone may use the other threads; nobody waits for a thread that is not idle."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from models.backends.single_threads import SingleThreads, lent_threads, together

TIMEOUT_S = 30


@pytest.fixture
def threads() -> SingleThreads:
    found = SingleThreads(2, "test")
    if found.count < 2:
        pytest.skip("threads cannot be limited to one core each here")
    return found


def test_the_other_thread_takes_a_share_at_the_same_time(threads: SingleThreads) -> None:
    meeting = threading.Barrier(2, timeout=TIMEOUT_S)
    counts: list[tuple[int, int]] = []
    before = torch.get_num_threads()

    def judge(arguments: list[int]) -> None:
        counts.append((lent_threads(), torch.get_num_threads()))
        together(lambda _: meeting.wait(), arguments)  # breaks where one waits for the other to end

    threads.alone(judge, [1, 2])
    assert counts == [(2, 1)]
    assert (lent_threads(), torch.get_num_threads()) == (1, before)


def test_where_no_thread_is_idle_one_does_all(threads: SingleThreads) -> None:
    both_busy = threading.Barrier(2, timeout=TIMEOUT_S)
    done: list[tuple[str, int, int]] = []

    def judge(name: str) -> None:
        both_busy.wait()
        together(lambda share: done.append((name, share, threading.get_ident())), [1, 2])

    with ThreadPoolExecutor(2) as callers:
        list(callers.map(lambda name: threads.alone(judge, name), ["first", "second"]))
    assert sorted(one[:2] for one in done) == [("first", 1), ("first", 2), ("second", 1), ("second", 2)]


def test_without_lent_threads_the_calling_one_does_all() -> None:
    done: list[tuple[int, int]] = []
    together(lambda share: done.append((share, threading.get_ident())), [1, 2, 3])
    assert done == [(share, threading.get_ident()) for share in (1, 2, 3)]


@pytest.mark.parametrize("failing", [1, 2])
def test_an_error_of_any_share_is_raised_and_nothing_stays_lent(threads: SingleThreads, failing: int) -> None:
    def fail(share: int) -> None:
        if share == failing:
            raise ValueError(f"share {share}")

    with pytest.raises(ValueError, match=f"share {failing}"):
        threads.alone(lambda shares: together(fail, shares), [1, 2])
    counts: list[int] = []
    threads.map(lambda _: counts.append(lent_threads()), [1])
    assert counts == [1]
