"""Sets the interpreter for a process that computes and serves at once: quick turns, little garbage, memory back."""

from __future__ import annotations

import ctypes
import gc
import sys

TURN_S = 0.0002  # of Python's 0.005 by default
NEW_OBJECTS = 20_000  # of Python's 700 by default


def collect_garbage_seldom() -> None:
    """Look for reference cycles after more new objects, and never again among what is there now: the modules.

    By default that took a seventh of the event loop's time, for which every other thread had to wait.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)


def take_turns_quickly() -> None:
    """A thread that wants the interpreter gets it within TURN_S from one that does not let go by itself.

    The network's threads need it for some microseconds between two matrix products of some tenths of a millisecond. By
    default each such need may last 5 ms while the event loop answers a batch: a core stands still for that time.
    """
    sys.setswitchinterval(min(TURN_S, sys.getswitchinterval()))


def give_memory_back() -> bool:
    """Have the C library return to the system what it holds and nobody uses, as after loading; whether it can.

    Building networks and the first passes leave a hundred MiB or more in its pools.
    """
    gc.collect()
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):  # not glibc
        return False
    trim(0)
    return True
