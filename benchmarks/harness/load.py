"""Prepared requests in, what became of each out: closed loops (each client asks again once answered) and open ones."""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import uvloop

from benchmarks.harness.connection import Answer, Connection, Unanswered

IDLE_LIMIT_S = 3.0  # the service closes a connection that was idle for 5 s
CONNECTIONS_AT_MOST = 4000
NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Seen:
    """One request that was answered. `at` is when, in seconds since the loop began."""

    at: float
    status: int
    verdicts: int
    seconds: float


@dataclass
class Tally:
    """What a loop has seen; `late_s` is by how much the client itself was behind its schedule, at worst."""

    answers: list[Seen] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    late_s: float = 0.0

    def add(self, answer: Answer, at: float) -> None:
        self.answers.append(Seen(at, answer.status, answer.verdicts, answer.seconds))

    @property
    def sent(self) -> int:
        """Requests that reached the service."""
        return len(self.answers) + len(self.unanswered)

    @property
    def statuses(self) -> dict[int, int]:
        """How many answers had which status."""
        return dict(sorted(Counter(seen.status for seen in self.answers).items()))

    def images_per_second(self, begin: float, end: float) -> float:
        """Verdicts a second between the first and the last answer that came between `begin` and `end` (seconds)."""
        inside = sorted((seen.at, seen.verdicts) for seen in self.answers if begin <= seen.at <= end)
        if len(inside) < 2:
            raise ValueError(f"{len(inside)} answers between {begin:g} and {end:g} s are too few for a rate")
        return sum(verdicts for _, verdicts in inside[1:]) / (inside[-1][0] - inside[0][0])


def run(load: Coroutine[Any, Any, Tally]) -> Tally:
    """The loop's tally, by the event loop that costs least: the client shares the machine with what it measures."""
    gc.disable()  # what has been seen is kept to the end; looking it through for garbage would cost ever more
    try:
        return uvloop.run(load)
    finally:
        gc.enable()


async def closed_loop(
    port: int,
    requests: Sequence[bytes],
    *,
    clients: int,
    seconds: float = NEVER,
    count: int | None = None,
    until: Callable[[], bool] = lambda: False,
    keep: Callable[[int, Answer], None] = lambda number, answer: None,
) -> Tally:
    """`clients` connections ask in turn through `requests` for `seconds`, `count` requests, or until `until()`.

    `keep` gets the number of each request with its whole answer. A client whose connection is refused ends.
    """
    tally = Tally()
    numbers = itertools.count() if count is None else iter(range(count))
    started = time.perf_counter()

    async def client() -> None:
        connection = Connection(port)
        while not until() and time.perf_counter() - started < seconds and (number := next(numbers, None)) is not None:
            try:
                answer = await connection.ask(requests[number % len(requests)])
            except ConnectionRefusedError:
                break
            except Unanswered as error:
                tally.unanswered.append(str(error))
                continue
            keep(number, answer)
            tally.add(answer, time.perf_counter() - started)
        connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    await asyncio.sleep(0)  # the connections' last act
    return tally


async def open_loop(
    port: int,
    requests: Sequence[bytes],
    *,
    per_second: float,
    seconds: float,
    every_second: Callable[[], None] = lambda: None,
    seed: int = 0,
) -> Tally:
    """Requests at random times (Poisson), `per_second` of them on average, whether or not earlier ones are answered."""
    tally = Tally()
    idle: list[Connection] = []
    chance = random.Random(seed)
    started = time.perf_counter()
    running: set[asyncio.Task[None]] = set()
    numbers = itertools.count()

    async def one(request: bytes) -> None:
        while idle and time.perf_counter() - idle[-1].used_at > IDLE_LIMIT_S:
            idle.pop().close()
        connection = idle.pop() if idle else Connection(port)
        try:
            answer = await connection.ask(request)
        except (Unanswered, ConnectionRefusedError) as error:
            tally.unanswered.append(str(error))
            return
        tally.add(answer, time.perf_counter() - started)
        idle.append(connection)

    async def watch() -> None:
        while True:
            every_second()
            await asyncio.sleep(1)

    watching = asyncio.create_task(watch())
    due = started
    while (due := due + chance.expovariate(per_second)) < started + seconds:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tally.late_s = max(tally.late_s, time.perf_counter() - due)
        if len(running) >= CONNECTIONS_AT_MOST:
            raise RuntimeError(f"more than {CONNECTIONS_AT_MOST} requests wait for an answer")
        task = asyncio.create_task(one(requests[next(numbers) % len(requests)]))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    watching.cancel()
    for connection in idle:
        connection.close()
    await asyncio.sleep(0)
    return tally
