"""A pool of threads of which each runs torch's operations alone on one core.

Operations of torch are spread over cores by OpenMP, and matrix products by MKL. For work that is cut into pieces anyway
each piece on its own core is faster: nothing is handed from cache to cache and nobody waits at the end of an operation.
torch.set_num_threads is of the whole process (for MKL), so the limits are set by the two libraries' own calls for the
calling thread alone. Where torch comes with another matrix library there is no such call, and the pool has one thread.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import torch

T = TypeVar("T")
LIMITS = ("omp_set_num_threads", "MKL_Set_Num_Threads_Local")


class SingleThreads:
    """Up to `wanted` threads; `count` is how many there are."""

    def __init__(self, wanted: int, name: str) -> None:
        self._limits = limits() if wanted > 1 else []
        self.count = wanted if self._limits else 1
        self._pool = ThreadPoolExecutor(self.count, thread_name_prefix=name, initializer=self._limit)

    def map(self, function: Callable[..., object], *arguments: Iterable[object]) -> None:
        """Calls it for each set of arguments and returns when all are done; raises the first error."""
        for _ in self._pool.map(function, *arguments):
            pass

    def alone(self, function: Callable[[T], object], argument: T) -> None:
        """Calls it here, limited to one core as the threads are; they do what it gives to `together`. Raises its error.

        Waking one of them for all of it would take a tenth of a millisecond or two.
        """
        with _one_thread(self._limits):
            _lent.threads = self
            try:
                function(argument)
            finally:
                _lent.threads = None

    def together(self, function: Callable[[T], object], arguments: Sequence[T]) -> None:
        """See the function `together`."""
        others = [(argument, self._pool.submit(function, argument)) for argument in arguments[1:]]
        function(arguments[0])
        for argument, other in others:
            if other.cancel():  # no thread was idle
                function(argument)
            else:
                other.result()

    def _limit(self) -> None:
        if self._limits:
            torch.get_num_threads()  # torch sets up a thread at its first use; what is set before that is lost
        for limit in self._limits:
            limit(1)


_lent = threading.local()


@contextmanager
def _one_thread(limits: Sequence[Callable[[int], object]]) -> Iterator[None]:
    """The calling thread works alone for as long; `limits` are those of LIMITS."""
    before = torch.get_num_threads()
    for limit in limits:
        limit(1)
    try:
        yield
    finally:
        for limit in limits:
            limit(before)


def lent_threads() -> int:
    """How many threads `together` has for the calling one, itself included."""
    threads: SingleThreads | None = getattr(_lent, "threads", None)
    return threads.count if threads else 1


def together(function: Callable[[T], object], arguments: Sequence[T]) -> None:
    """Calls it for each argument, at least one: the first here, the others on threads that SingleThreads.alone lent.

    Where none is lent or idle all are called here. Returns when all are done; raises the first error.
    """
    threads: SingleThreads | None = getattr(_lent, "threads", None)
    if threads:
        threads.together(function, arguments)
    else:
        for argument in arguments:
            function(argument)


def waiting_threads_sleep() -> bool:
    """Whether OpenMP's threads sleep while they wait for each other (as in the service), and so have to be woken."""
    return os.environ.get("OMP_WAIT_POLICY", "").strip().upper() == "PASSIVE"


@lru_cache(maxsize=1)
def limits() -> list[Callable[[int], object]]:
    """The calls that limit the calling thread, or none where one of them is missing."""
    libraries = sorted((Path(torch.__file__).parent / "lib").glob("libtorch_cpu.*"))
    try:
        library = ctypes.CDLL(str(libraries[0]))
        found = [getattr(library, name) for name in LIMITS]
    except (IndexError, OSError, AttributeError):
        return []
    for call in found:
        call.argtypes = [ctypes.c_int]
    return found


def groups_of(count: int, threads: int, most: int) -> list[slice]:
    """Even groups of at most `most` of `count` images, as many as keep all threads busy to the end."""
    rounds = -(-count // (threads * most))
    return [slice(part.start, part.stop) for part in shares(count, threads * rounds)]


def shares(count: int, parts: int) -> list[range]:
    """`count` things cut into at most `parts` even ranges, none of them empty."""
    cuts = [round(count * part / parts) for part in range(parts + 1)]
    return [range(start, stop) for start, stop in pairwise(cuts) if stop > start]
