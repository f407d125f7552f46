"""The engine drains; and whatever its devices do meanwhile, every image gets one answer."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from typing import TYPE_CHECKING

import pytest

from service.engine.engine import Engine, TimedJudgement
from service.errors import DeadlineExceeded, InferenceFailed, NotReady, Overloaded, ServiceError, ShuttingDown

if TYPE_CHECKING:
    from tests.service.engine.conftest import Fakes


def test_a_drain_lets_the_house_finish_and_refuses_newcomers(fakes: type[Fakes]) -> None:
    hold = fakes.HeldStep()

    async def ask(engine: Engine) -> None:
        with engine.admission.try_admit(1):
            first = asyncio.create_task(engine.judge([fakes.row(1)]))
            await fakes.in_step(hold)
            drain = asyncio.create_task(engine.drain(20))
            await fakes.until(lambda: engine.admission.closed)
            with pytest.raises(ShuttingDown):
                engine.admission.try_admit(1)
            assert engine.ready() == (False, "the service is shutting down")
            hold.open.set()
            assert fakes.scores(await first) == [1]
        report = await drain
        assert report.complete
        with pytest.raises(ShuttingDown):
            await engine.judge([fakes.row(2)])

    with fakes.running(fakes.Device(hold)) as engine:
        asyncio.run(ask(engine))


def test_a_drain_that_runs_out_of_time_reports_and_answers_what_it_left(fakes: type[Fakes]) -> None:
    hold = fakes.HeldStep()

    async def ask(engine: Engine) -> None:
        first = asyncio.create_task(engine.judge([fakes.row(1)]))
        await fakes.in_step(hold)
        second = asyncio.create_task(engine.judge([fakes.row(2), fakes.row(3)]))
        await fakes.until(lambda: engine.metrics.value("mkd_queue_images") == 2)
        drain = asyncio.create_task(engine.drain(0.05))
        assert fakes.scores(await second) == [ShuttingDown, ShuttingDown]
        hold.open.set()
        report = await drain
        assert (report.left_images, report.left_in_queue) == (2, 2)
        assert fakes.scores(await first) == [1]

    with fakes.running(fakes.Device(hold)) as engine:
        asyncio.run(ask(engine))


@pytest.mark.parametrize("seed", range(3))
def test_whatever_the_device_does_every_image_gets_exactly_one_answer(fakes: type[Fakes], seed: int) -> None:
    """Many threads, each with its own event loop, against devices that raise, die, and run out of memory at random."""
    dice = random.Random(seed)

    def misbehave(numbers: list[float]) -> None:
        roll = dice.random()
        if roll < 0.05:
            raise fakes.Killed
        if roll < 0.15:
            raise ValueError("at random")
        if roll < 0.25 and len(numbers) > 1:
            raise MemoryError
        if roll < 0.3:
            time.sleep(0.003)

    answered: list[tuple[float, TimedJudgement | ServiceError]] = []
    refused: list[int] = []
    cancelled: list[int] = []

    async def client(engine: Engine, number: int) -> None:
        own = random.Random(1000 * seed + number)
        for turn in range(25):
            numbers = [float(number * 1000 + turn * 10 + part) for part in range(own.randint(1, 4))]
            deadline = time.monotonic() + own.choice([0.002, 0.05, 5]) if own.random() < 0.5 else None
            task = asyncio.create_task(engine.judge([fakes.row(each) for each in numbers], deadline=deadline))
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

    with fakes.running(
        fakes.Device(misbehave), fakes.Device(misbehave), max_batch=8, max_in_flight_images=24, recover_limit_s=0.01
    ) as engine:
        threads = [threading.Thread(target=lambda n=n: asyncio.run(client(engine, n))) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)
        assert engine.metrics.value("mkd_queue_images") == 0
    judged = [(number, answer) for number, answer in answered if isinstance(answer, TimedJudgement)]
    assert judged
    assert all(answer.score == number for number, answer in judged)
    errors = {type(answer) for _, answer in answered if not isinstance(answer, TimedJudgement)}
    assert errors <= {InferenceFailed, DeadlineExceeded, NotReady}
