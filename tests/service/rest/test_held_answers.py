"""Answers that are held for long leave in groups, no later than they are due, and each may be called off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from service.rest.held_answers import GROUP_S, HeldAnswers


class Loop:
    """A clock with timers, of which `go` runs those that are due."""

    def __init__(self) -> None:
        self.now = 1000.03
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, answer: Callable[..., None], *arguments: object) -> None:
        self.timers.append((self.now + seconds, lambda: answer(*arguments)))

    def go(self, until: float) -> None:
        for timer in sorted(self.timers, key=lambda timer: timer[0]):
            if timer[0] <= until:
                self.timers.remove(timer)
                self.now = timer[0]
                timer[1]()


@pytest.fixture
def loop() -> Loop:
    return Loop()


def hold(held: HeldAnswers, loop: Loop, seconds: float, answer: Callable[[], None]) -> Any:
    return held.hold(cast(asyncio.AbstractEventLoop, loop), seconds, answer)


def test_answers_of_a_group_leave_by_one_timer_and_none_is_late_or_much_too_early(loop: Loop) -> None:
    held, left = HeldAnswers(), dict[int, tuple[float, float]]()
    for number in range(40):
        due = loop.now + 0.9
        hold(held, loop, 0.9, lambda number=number, due=due: left.update({number: (due, loop.now)}))  # type: ignore[misc]
        loop.now += 0.01
    assert len(loop.timers) <= 40 * 0.01 / GROUP_S + 2
    loop.go(loop.now + 1)
    assert len(left) == 40
    assert all(-1e-9 <= due - at <= GROUP_S + 1e-9 for due, at in left.values())


def test_a_short_wait_is_as_long_as_it_was_asked_for(loop: Loop) -> None:
    hold(HeldAnswers(), loop, 0.05, lambda: None)
    assert [due for due, _ in loop.timers] == [pytest.approx(loop.now + 0.05)]


def test_an_answer_that_is_called_off_does_not_leave_also_by_another_of_its_group(loop: Loop) -> None:
    held, left = HeldAnswers(), list[str]()
    second: Any = None

    def first() -> None:
        left.append("first")
        second.cancel()

    hold(held, loop, 0.9, first)
    second = hold(held, loop, 0.9, lambda: left.append("second"))
    hold(held, loop, 0.9, lambda: left.append("third")).cancel()
    loop.go(loop.now + 1)
    assert left == ["first"]


def test_a_fault_in_one_answer_leaves_the_others_alone(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    held, left = HeldAnswers(), list[str]()
    hold(held, loop, 0.9, lambda: left.remove("nobody"))
    hold(held, loop, 0.9, lambda: left.append("second"))
    loop.go(loop.now + 1)
    assert left == ["second"]
    assert "held back" in caplog.text
