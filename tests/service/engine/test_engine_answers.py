"""The engine over a device made of Python: order, batches shared, deadlines, hang-ups, a full queue."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from service.engine.completion import Completion, deliver
from service.engine.engine import Engine, TimedJudgement
from service.engine.queued_image import QueuedImage
from service.errors import DeadlineExceeded, Overloaded, ServiceError

if TYPE_CHECKING:
    from tests.service.engine.conftest import Fakes


def test_answers_come_in_the_order_of_the_rows_with_maps_for_those_that_asked(fakes: type[Fakes]) -> None:
    with fakes.running(fakes.Device()) as engine:
        answers = asyncio.run(engine.judge([fakes.row(3), fakes.row(1, wants_map=True), fakes.row(2)]))
    assert fakes.scores(answers) == [3, 1, 2]
    assert [isinstance(answer, TimedJudgement) and answer.map is not None for answer in answers] == [False, True, False]


def test_no_rows_need_no_device(fakes: type[Fakes]) -> None:
    with fakes.running(fakes.Device()) as engine:
        assert asyncio.run(engine.judge([])) == []


def test_images_of_concurrent_requests_share_a_batch(fakes: type[Fakes]) -> None:
    hold = fakes.HeldStep()
    device = fakes.Device(hold)

    async def ask(engine: Engine) -> list[list[TimedJudgement | ServiceError]]:
        async with fakes.held(engine, hold):
            tasks = [asyncio.create_task(engine.judge([fakes.row(number)])) for number in (1, 2, 3)]
            await fakes.until(lambda: engine.metrics.value("mkd_queue_images") == 3)
        return await asyncio.gather(*tasks)

    with fakes.running(device) as engine:
        answers = asyncio.run(ask(engine))
    assert device.steps == [[0], [1, 2, 3]]
    assert [fakes.scores(answer) for answer in answers] == [[1], [2], [3]]
    assert all(isinstance(answer[0], TimedJudgement) and answer[0].batch_size == 3 for answer in answers)


def test_a_batch_wakes_each_event_loop_once() -> None:
    async def count() -> int:
        loop = asyncio.get_running_loop()
        images = [QueuedImage(payload=number) for number in range(20)]
        completions = [Completion(images[:10], loop), Completion(images[10:], loop)]
        for image in images:
            image.answer("fine", 0.0, 20)
        woken = deliver(images)
        assert [await completion.wait(10) for completion in completions] == [True, True]
        return woken

    assert asyncio.run(count()) == 1


def test_an_answer_for_a_loop_that_is_gone_harms_nobody() -> None:
    async def leave() -> list[QueuedImage]:
        images = [QueuedImage(payload=0)]
        Completion(images, asyncio.get_running_loop())
        return images

    images = asyncio.run(leave())
    images[0].answer("late", 0.0, 1)
    assert deliver(images) == 0


def test_an_expired_image_never_reaches_the_device_and_is_answered_at_its_deadline(fakes: type[Fakes]) -> None:
    hold = fakes.HeldStep()
    device = fakes.Device(hold)

    async def ask(engine: Engine) -> list[TimedJudgement | ServiceError]:
        async with fakes.held(engine, hold):
            answers = await engine.judge([fakes.row(1), fakes.row(2)], deadline=time.monotonic() + 0.05)
            assert engine.metrics.value("mkd_queue_images") == 0
        return answers

    with fakes.running(device) as engine:
        assert fakes.scores(asyncio.run(ask(engine))) == [DeadlineExceeded, DeadlineExceeded]
        assert engine.metrics.value("mkd_expiries_total", stage="queue") == 2
    assert device.steps == [[0]]


def test_an_image_in_a_step_that_ends_too_late_is_answered_at_its_deadline(fakes: type[Fakes]) -> None:
    hold = fakes.HeldStep()

    async def ask(engine: Engine) -> list[TimedJudgement | ServiceError]:
        answers = await engine.judge([fakes.row(1)], deadline=time.monotonic() + 0.05)
        hold.open.set()
        return answers

    with fakes.running(fakes.Device(hold)) as engine:
        assert fakes.scores(asyncio.run(ask(engine))) == [DeadlineExceeded]
        assert engine.metrics.value("mkd_expiries_total", stage="device") == 1


def test_a_client_that_hangs_up_is_dropped_before_the_forward_pass_and_counted(fakes: type[Fakes]) -> None:
    hold = fakes.HeldStep()
    device = fakes.Device(hold)

    async def ask(engine: Engine) -> None:
        async with fakes.held(engine, hold):
            task = asyncio.create_task(engine.judge([fakes.row(1), fakes.row(2)]))
            await fakes.until(lambda: engine.metrics.value("mkd_queue_images") == 2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert engine.metrics.value("mkd_queue_images") == 0

    with fakes.running(device) as engine:
        asyncio.run(ask(engine))
        assert engine.metrics.value("mkd_cancellations_total", stage="queue") == 2
    assert device.steps == [[0]]


def test_a_full_queue_refuses_and_health_stays_green(fakes: type[Fakes]) -> None:
    hold = fakes.HeldStep()

    async def ask(engine: Engine) -> None:
        async with fakes.held(engine, hold):
            waiting = asyncio.create_task(engine.judge([fakes.row(1), fakes.row(2)]))
            await fakes.until(lambda: engine.metrics.value("mkd_queue_images") == 2)
            with pytest.raises(Overloaded):
                await engine.judge([fakes.row(3)])
            assert engine.ready() == (True, "")
            assert engine.live()
        await waiting

    with fakes.running(fakes.Device(hold), max_in_flight_images=2) as engine:
        asyncio.run(ask(engine))
        assert engine.metrics.value("mkd_rejections_total", reason="queue") == 1
