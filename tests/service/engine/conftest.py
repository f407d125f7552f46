"""A queue with a manual clock and no thread; and devices made of Python under a whole engine."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import numpy as np
import pytest

from models.artifact import Artifact
from models.detector import Judgement, Row
from service.engine.batcher import Batcher
from service.engine.engine import Engine, EngineSettings, TimedJudgement
from service.engine.forming import Batch
from service.engine.latency_model import LatencyModel
from service.engine.queued_image import QueuedImage
from service.engine.worker import FaultKind
from service.errors import ServiceError


@dataclass
class Limit:
    images: int = 4
    pixels: int = 1000


class WouldWaitError(Exception):
    """Instead of blocking the test's only thread."""


@dataclass
class Bench:
    """A batcher with everything that it touches."""

    max_queued: int = 100
    wait_s: float = 0.0
    now: float = 100.0
    latency: LatencyModel = field(default_factory=LatencyModel)
    dropped: list[tuple[str, QueuedImage]] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    blocks: bool = False  # whether `take` waits, as it does in a thread of its own
    wait_for: float | None = None  # what the last `take` without a batch would have waited

    def __post_init__(self) -> None:
        self.batcher = Batcher(
            max_queued=self.max_queued,
            wait_s=self.wait_s,
            latency=self.latency,
            dropped=lambda stage, images: self.dropped.extend((stage, image) for image in images),
            clock=lambda: self.now,
            depth=self.depths.append,
            wait=threading.Condition.wait if self.blocks else self._wait,
        )

    def _wait(self, _: threading.Condition, seconds: float | None) -> None:
        self.wait_for = seconds
        raise WouldWaitError

    @staticmethod
    def limit(images: int = 4, pixels: int = 1000) -> Limit:
        return Limit(images, pixels)

    @staticmethod
    def images(count: int, pixels: int = 10, deadline: float | None = None) -> list[QueuedImage]:
        return [QueuedImage(payload=number, pixels=pixels, deadline=deadline) for number in range(count)]

    def take(self, limit: Limit | None = None) -> Batch | None:
        """What a device gets now; None where it would have to wait (`wait_for` says how long) or where all is done."""
        try:
            found = self.batcher.take("device", limit or Limit(), lambda: False)
        except WouldWaitError:
            return None
        assert found is None or isinstance(found, Batch)
        return found

    def batch(self, limit: Limit | None = None) -> Batch:
        found = self.take(limit)
        assert found is not None
        return found


OpenBench = Callable[..., Bench]


@pytest.fixture(scope="session")
def open_bench() -> OpenBench:
    """`open_bench(max_queued=..., wait_s=...)`; the same for every example of a property."""
    return Bench


class Image(NamedTuple):
    """As much of a Row as the engine looks at; its score is the number in its first pixel."""

    image: Any
    wants_map: bool = False


def row(number: float, *, wants_map: bool = False) -> Row:
    return cast(Row, Image(np.full((3, 4, 4), number, np.float32), wants_map))


class Killed(BaseException):
    """Ends the worker's thread, as no ordinary exception does."""


class Device:
    """`do` is called with the numbers of each batch and may raise or block."""

    def __init__(self, do: Callable[[list[float]], None] = lambda _: None) -> None:
        self.do = do
        self.built = 0
        self.steps: list[list[float]] = []
        self.warm_error: Exception | None = None

    def build(self) -> Device:
        self.built += 1
        if self.warm_error is not None:
            raise self.warm_error
        return self

    def step(self, payloads: Sequence[Any]) -> Sequence[object]:
        numbers = [float(payload.image[0, 0, 0]) for payload in payloads]
        self.steps.append(numbers)
        self.do(numbers)
        return [
            Judgement(number, np.zeros((4, 4), np.float32) if payload.wants_map else None)
            for number, payload in zip(numbers, payloads, strict=True)
        ]

    def complaint(self, payload: Any, verdict: object) -> str | None:
        return None

    def diagnose(self, error: Exception) -> FaultKind:
        return "memory" if isinstance(error, MemoryError) else "images"

    def relieve(self) -> None: ...

    def memory_bytes(self) -> int:
        return 7

    def prepare(self, artifact: Artifact) -> None: ...

    def backends(self) -> dict[str, str]:
        return {}

    def give_back(self) -> None: ...

    def verify(self, artifact: Artifact) -> str:
        return "all 1"

    def step_seconds(self, artifact: Artifact, images: int) -> float:
        return self.warm(artifact, images)

    def warm(self, artifact: Artifact, images: int) -> float:
        return 0.001


@contextmanager
def running(*devices: Device, **settings: Any) -> Iterator[Engine]:
    names = {f"fake:{number}": device.build for number, device in enumerate(devices)}
    engine = Engine(names, EngineSettings(**settings))
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


class HeldStep:
    """Holds the device inside a step until it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self, _: list[float]) -> None:
        self.entered.set()
        assert self.open.wait(20)


async def in_step(hold: HeldStep) -> None:
    await asyncio.to_thread(hold.entered.wait, 20)


@asynccontextmanager
async def held(engine: Engine, hold: HeldStep) -> AsyncIterator[asyncio.Task[list[TimedJudgement | ServiceError]]]:
    """A first image keeps the device busy for the block, so that what follows has to queue."""
    first = asyncio.create_task(engine.judge([row(0)]))
    await in_step(hold)
    try:
        yield first
    finally:
        hold.open.set()
        await first


def scores(answers: Sequence[TimedJudgement | ServiceError]) -> list[object]:
    return [answer.score if isinstance(answer, TimedJudgement) else type(answer) for answer in answers]


async def until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up_at, "it did not come true in 20 s"
        await asyncio.sleep(0.005)


class Fakes:
    """What the tests of the engine are made of."""

    Device = Device
    HeldStep = HeldStep
    Killed = Killed
    row = staticmethod(row)
    running = staticmethod(running)
    in_step = staticmethod(in_step)
    held = staticmethod(held)
    scores = staticmethod(scores)
    until = staticmethod(until)


@pytest.fixture
def fakes() -> type[Fakes]:
    return Fakes
