"""In: nothing. Out: an interpreter whose threads take turns quickly, as this process computes and converses at once."""

from __future__ import annotations

import sys

TURN_S = 0.0002  # of Python's 0.005 by default


def take_turns_quickly() -> None:
    """A thread that wants the interpreter gets it within TURN_S from one that does not let go by itself.

    The network's threads need it for some microseconds between two matrix products of some tenths of a millisecond. By
    default each such need may last 5 ms while the event loop answers a batch: a core stands still for that time.
    """
    sys.setswitchinterval(min(TURN_S, sys.getswitchinterval()))
