"""How long a thread of the service may keep the interpreter from another, and how often all wait for the garbage."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest

from service.run.interpreter import NEW_OBJECTS, TURN_S, collect_garbage_seldom, take_turns_quickly


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    turns, garbage = sys.getswitchinterval(), gc.get_threshold()
    yield
    sys.setswitchinterval(turns)
    gc.set_threshold(*garbage)
    gc.unfreeze()


def test_threads_take_turns_quickly() -> None:
    sys.setswitchinterval(0.005)
    take_turns_quickly()
    assert sys.getswitchinterval() == pytest.approx(TURN_S, abs=2e-6)


def test_turns_that_are_quicker_already_are_left() -> None:
    sys.setswitchinterval(TURN_S / 2)
    take_turns_quickly()
    assert sys.getswitchinterval() == pytest.approx(TURN_S / 2, abs=2e-6)


def test_garbage_is_collected_seldom_and_not_among_the_modules() -> None:
    collect_garbage_seldom()
    assert gc.isenabled()
    assert gc.get_threshold()[0] == NEW_OBJECTS
    assert gc.get_freeze_count() > 0
