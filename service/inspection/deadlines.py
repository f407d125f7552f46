"""Ends work whose result would come after the deadline of its request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

from service.errors import DeadlineExceeded

T = TypeVar("T")


def seconds_to(deadline: float | None) -> float | None:
    """Seconds until a time of `time.monotonic()`, negative once it is over; None where there is no deadline."""
    return None if deadline is None else deadline - time.monotonic()


async def in_time(work: Awaitable[T], deadline: float | None) -> T:
    """The result of `work`, which is cancelled when the deadline comes; raises DeadlineExceeded then."""
    try:
        async with asyncio.timeout(seconds_to(deadline)):
            return await work
    except TimeoutError:
        raise DeadlineExceeded("the deadline passed before the image was judged") from None
