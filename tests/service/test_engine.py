"""The whole engine over a device that is made of Python: answers, deadlines, hang-ups, deaths, drains."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple, cast

import numpy as np
import pytest

from models.artifact import Artifact
from models.detector import Judgement, Row
from service.engine.engine import Engine, EngineSettings, Outcome
from service.engine.job import Job
from service.engine.ticket import Ticket, deliver
from service.engine.worker import FaultKind
from service.errors import DeadlineExceeded, InferenceFailed, NotReady, Overloaded, ServiceError, ShuttingDown


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

    def verify(self, artifact: Artifact) -> None: ...

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


class Gate:
    """Holds the device inside a step until it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self, _: list[float]) -> None:
        self.entered.set()
        assert self.open.wait(20)


async def in_step(gate: Gate) -> None:
    await asyncio.to_thread(gate.entered.wait, 20)


@asynccontextmanager
async def held(engine: Engine, gate: Gate) -> AsyncIterator[asyncio.Task[list[Outcome | ServiceError]]]:
    """A first image keeps the device busy for the block, so that what follows has to queue."""
    first = asyncio.create_task(engine.judge([row(0)]))
    await in_step(gate)
    try:
        yield first
    finally:
        gate.open.set()
        await first


def scores(answers: Sequence[Outcome | ServiceError]) -> list[object]:
    return [answer.score if isinstance(answer, Outcome) else type(answer) for answer in answers]


async def until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up_at, "it did not come true in 20 s"
        await asyncio.sleep(0.005)


def test_answers_come_in_the_order_of_the_rows_with_maps_for_those_that_asked() -> None:
    with running(Device()) as engine:
        answers = asyncio.run(engine.judge([row(3), row(1, wants_map=True), row(2)]))
    assert scores(answers) == [3, 1, 2]
    assert [isinstance(answer, Outcome) and answer.map is not None for answer in answers] == [False, True, False]


def test_no_rows_need_no_device() -> None:
    with running(Device()) as engine:
        assert asyncio.run(engine.judge([])) == []


def test_images_of_concurrent_requests_share_a_batch() -> None:
    gate = Gate()
    device = Device(gate)

    async def ask(engine: Engine) -> list[list[Outcome | ServiceError]]:
        async with held(engine, gate):
            tasks = [asyncio.create_task(engine.judge([row(number)])) for number in (1, 2, 3)]
            await until(lambda: engine.stats().queued_images == 3)
        return await asyncio.gather(*tasks)

    with running(device) as engine:
        answers = asyncio.run(ask(engine))
    assert device.steps == [[0], [1, 2, 3]]
    assert [scores(answer) for answer in answers] == [[1], [2], [3]]
    assert all(isinstance(answer[0], Outcome) and answer[0].batch_size == 3 for answer in answers)


def test_a_batch_wakes_each_event_loop_once() -> None:
    async def count() -> int:
        loop = asyncio.get_running_loop()
        jobs = [Job(payload=number) for number in range(20)]
        tickets = [Ticket(jobs[:10], loop), Ticket(jobs[10:], loop)]
        for job in jobs:
            job.answer("fine", 0.0, 20)
        woken = deliver(jobs)
        assert [await ticket.wait(10) for ticket in tickets] == [True, True]
        return woken

    assert asyncio.run(count()) == 1


def test_an_answer_for_a_loop_that_is_gone_harms_nobody() -> None:
    async def leave() -> list[Job]:
        jobs = [Job(payload=0)]
        Ticket(jobs, asyncio.get_running_loop())
        return jobs

    jobs = asyncio.run(leave())
    jobs[0].answer("late", 0.0, 1)
    assert deliver(jobs) == 0


def test_an_expired_image_never_reaches_the_device_and_is_answered_at_its_deadline() -> None:
    gate = Gate()
    device = Device(gate)

    async def ask(engine: Engine) -> list[Outcome | ServiceError]:
        async with held(engine, gate):
            answers = await engine.judge([row(1), row(2)], deadline=time.monotonic() + 0.05)
            assert engine.stats().queued_images == 0
        return answers

    with running(device) as engine:
        assert scores(asyncio.run(ask(engine))) == [DeadlineExceeded, DeadlineExceeded]
        assert engine.metrics.value("mkd_expiries_total", stage="queue") == 2
    assert device.steps == [[0]]


def test_an_image_in_a_step_that_ends_too_late_is_answered_at_its_deadline() -> None:
    gate = Gate()

    async def ask(engine: Engine) -> list[Outcome | ServiceError]:
        answers = await engine.judge([row(1)], deadline=time.monotonic() + 0.05)
        gate.open.set()
        return answers

    with running(Device(gate)) as engine:
        assert scores(asyncio.run(ask(engine))) == [DeadlineExceeded]
        assert engine.metrics.value("mkd_expiries_total", stage="device") == 1


def test_a_client_that_hangs_up_is_dropped_before_the_forward_pass_and_counted() -> None:
    gate = Gate()
    device = Device(gate)

    async def ask(engine: Engine) -> None:
        async with held(engine, gate):
            task = asyncio.create_task(engine.judge([row(1), row(2)]))
            await until(lambda: engine.stats().queued_images == 2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert engine.stats().queued_images == 0

    with running(device) as engine:
        asyncio.run(ask(engine))
        assert engine.metrics.value("mkd_cancellations_total", stage="queue") == 2
    assert device.steps == [[0]]


def test_a_full_queue_refuses_and_health_stays_green() -> None:
    gate = Gate()

    async def ask(engine: Engine) -> None:
        async with held(engine, gate):
            waiting = asyncio.create_task(engine.judge([row(1), row(2)]))
            await until(lambda: engine.stats().queued_images == 2)
            with pytest.raises(Overloaded):
                await engine.judge([row(3)])
            assert engine.ready() == (True, "")
            assert engine.live()
        await waiting

    with running(Device(gate), max_in_house_images=2) as engine:
        asyncio.run(ask(engine))
        assert engine.metrics.value("mkd_rejections_total", reason="queue") == 1


def test_a_killed_worker_is_replaced_and_nobody_notices() -> None:
    killed = [False]

    def kill_once(_: list[float]) -> None:
        if not killed[0]:
            killed[0] = True
            raise Killed

    device = Device(kill_once)
    with running(device) as engine:
        assert scores(asyncio.run(engine.judge([row(1), row(2)]))) == [1, 2]
        assert engine.metrics.value("mkd_worker_deaths_total", device="fake:0") == 1
    assert device.built == 2


def test_an_image_that_kills_every_worker_is_answered_and_its_neighbours_are_judged() -> None:
    def kill(numbers: list[float]) -> None:
        if 13 in numbers:
            raise Killed

    with running(Device(kill)) as engine:
        assert scores(asyncio.run(engine.judge([row(1), row(13), row(2)]))) == [1, InferenceFailed, 2]

        async def settle() -> None:
            await until(lambda: engine.ready()[0])

        asyncio.run(settle())


def test_a_device_that_keeps_dying_turns_the_service_not_ready_with_the_reason_and_back() -> None:
    broken = [True]

    def die(_: list[float]) -> None:
        if broken[0]:
            raise Killed("fan is off")

    device = Device(die)

    async def ask(engine: Engine) -> None:
        device.warm_error = RuntimeError("no such device")
        answers = await engine.judge([row(1)])
        assert scores(answers) == [NotReady]
        ready, reason = engine.ready()
        assert not ready
        assert "no such device" in reason
        with pytest.raises(NotReady, match="no such device"):
            await engine.judge([row(2)])
        broken[0], device.warm_error = False, None
        await until(lambda: engine.ready()[0])
        assert scores(await engine.judge([row(3)])) == [3]

    with running(device) as engine:
        asyncio.run(ask(engine))


def test_a_step_that_hangs_is_answered_and_its_late_answer_ignored() -> None:
    gate = Gate()
    hung = [False]

    def hang_once(numbers: list[float]) -> None:
        if not hung[0]:
            hung[0] = True
            gate(numbers)

    async def ask(engine: Engine) -> None:
        assert scores(await engine.judge([row(1)])) == [InferenceFailed]
        await until(lambda: engine.ready()[0])
        gate.open.set()
        assert scores(await engine.judge([row(2)])) == [2]
        await until(lambda: sum(thread.name == "worker-fake:0" for thread in threading.enumerate()) == 1)

    with running(Device(hang_once), stall_limit_s=0.05) as engine:
        asyncio.run(ask(engine))


def test_a_device_that_cannot_be_taken_into_use_stops_the_start() -> None:
    device = Device()
    device.warm_error = RuntimeError("driver too old")
    engine = Engine({"fake:0": Device().build, "fake:1": device.build})
    with pytest.raises(NotReady, match="fake:1 could not be taken into use: RuntimeError: driver too old"):
        engine.start()
    engine.stop()


def test_one_dead_device_of_two_leaves_the_service_ready() -> None:
    gate = Gate()
    sick = Device()

    def die(_: list[float]) -> None:
        sick.warm_error = RuntimeError("fell off the bus")
        raise Killed

    sick.do = die

    async def ask(engine: Engine) -> None:
        answers = await asyncio.gather(*(engine.judge([row(number)]) for number in range(8)))
        assert [scores(answer) for answer in answers] == [[number] for number in range(8)]
        assert engine.ready()[0]

    gate.open.set()
    with running(Device(gate), sick) as engine:
        asyncio.run(ask(engine))


def test_a_drain_lets_the_house_finish_and_refuses_newcomers() -> None:
    gate = Gate()

    async def ask(engine: Engine) -> None:
        with engine.admission.enter(1):
            first = asyncio.create_task(engine.judge([row(1)]))
            await in_step(gate)
            drain = asyncio.create_task(engine.drain(20))
            await until(lambda: engine.admission.closed)
            with pytest.raises(ShuttingDown):
                engine.admission.enter(1)
            assert engine.ready() == (False, "the service is shutting down")
            gate.open.set()
            assert scores(await first) == [1]
        report = await drain
        assert report.complete
        with pytest.raises(ShuttingDown):
            await engine.judge([row(2)])

    with running(Device(gate)) as engine:
        asyncio.run(ask(engine))


def test_a_drain_that_runs_out_of_time_reports_and_answers_what_it_left() -> None:
    gate = Gate()

    async def ask(engine: Engine) -> None:
        first = asyncio.create_task(engine.judge([row(1)]))
        await in_step(gate)
        second = asyncio.create_task(engine.judge([row(2), row(3)]))
        await until(lambda: engine.stats().queued_images == 2)
        drain = asyncio.create_task(engine.drain(0.05))
        assert scores(await second) == [ShuttingDown, ShuttingDown]
        gate.open.set()
        report = await drain
        assert (report.left_images, report.left_in_queue) == (2, 2)
        assert scores(await first) == [1]

    with running(Device(gate)) as engine:
        asyncio.run(ask(engine))


@pytest.mark.parametrize("seed", range(3))
def test_whatever_the_device_does_every_image_gets_exactly_one_answer(seed: int) -> None:
    """Many threads, each with its own event loop, against devices that raise, die, and run out of memory at random."""
    dice = random.Random(seed)

    def misbehave(numbers: list[float]) -> None:
        roll = dice.random()
        if roll < 0.05:
            raise Killed
        if roll < 0.15:
            raise ValueError("at random")
        if roll < 0.25 and len(numbers) > 1:
            raise MemoryError
        if roll < 0.3:
            time.sleep(0.003)

    answered: list[tuple[float, Outcome | ServiceError]] = []
    refused: list[int] = []
    cancelled: list[int] = []

    async def client(engine: Engine, number: int) -> None:
        own = random.Random(1000 * seed + number)
        for turn in range(25):
            numbers = [float(number * 1000 + turn * 10 + part) for part in range(own.randint(1, 4))]
            deadline = time.monotonic() + own.choice([0.002, 0.05, 5]) if own.random() < 0.5 else None
            task = asyncio.create_task(engine.judge([row(each) for each in numbers], deadline=deadline))
            if own.random() < 0.1:
                await asyncio.sleep(own.random() * 0.005)
                task.cancel()
            try:
                answers = await asyncio.wait_for(task, 30)
            except asyncio.CancelledError:
                cancelled.append(len(numbers))
            except (Overloaded, NotReady):
                refused.append(len(numbers))
            else:
                assert len(answers) == len(numbers)
                answered.extend(zip(numbers, answers, strict=True))

    with running(
        Device(misbehave), Device(misbehave), max_batch=8, max_in_house_images=24, recover_limit_s=0.01
    ) as engine:
        threads = [threading.Thread(target=lambda n=n: asyncio.run(client(engine, n))) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)
        assert engine.stats().queued_images == 0
    judged = [(number, answer) for number, answer in answered if isinstance(answer, Outcome)]
    assert judged
    assert all(answer.score == number for number, answer in judged)
    errors = {type(answer) for _, answer in answered if not isinstance(answer, Outcome)}
    assert errors <= {InferenceFailed, DeadlineExceeded, NotReady}
