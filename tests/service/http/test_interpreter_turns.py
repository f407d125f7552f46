"""How long a thread of the service may keep the interpreter from another that wants it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from service.run.interpreter import TURN_S, take_turns_quickly


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


def test_threads_take_turns_quickly() -> None:
    sys.setswitchinterval(0.005)
    take_turns_quickly()
    assert sys.getswitchinterval() == pytest.approx(TURN_S, abs=2e-6)


def test_turns_that_are_quicker_already_are_left() -> None:
    sys.setswitchinterval(TURN_S / 2)
    take_turns_quickly()
    assert sys.getswitchinterval() == pytest.approx(TURN_S / 2, abs=2e-6)
