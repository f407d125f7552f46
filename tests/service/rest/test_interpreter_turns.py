"""How long a thread of the service may keep the interpreter from another, and how often all wait for the garbage."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.run.interpreter import NEW_OBJECTS, TURN_S, collect_garbage_seldom, give_memory_back, take_turns_quickly


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


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and glibc alone can give back")
def test_memory_that_nobody_uses_is_given_back() -> None:
    """Many small buffers stay with the C library when they are freed, below one that is still in use."""
    buffers = [bytearray(64_000) for _ in range(1000)]
    last = bytearray(64_000)
    full = resident_kib()
    buffers.clear()
    if not give_memory_back():
        pytest.skip("this C library cannot")
    assert resident_kib() < full - 40_000
    assert len(last) == 64_000


def resident_kib() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1])
