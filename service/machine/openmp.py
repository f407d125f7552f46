"""Makes OpenMP's threads sleep while they wait for each other; called before torch is loaded."""

from __future__ import annotations

import os

WAIT_POLICY = "OMP_WAIT_POLICY"


def let_waiting_threads_sleep() -> None:
    """OpenMP reads its environment once, when the library is loaded, so this must come before the first torch import.

    By default its threads spin while they wait. On cores that others use too (the decoder, another process, a container
    with a quota) a thread then spins until the one that it waits for gets its turn: with two threads on busy cores a
    head took four times as long for sixteen images and thirty times as long for one. What the operator sets is kept.
    """
    os.environ.setdefault(WAIT_POLICY, "PASSIVE")
