"""The engine over devices that die, hang, or cannot be taken into use."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from service.engine.engine import Engine
from service.errors import InferenceFailed, NotReady

if TYPE_CHECKING:
    from tests.service.engine.conftest import Fakes


def test_a_killed_worker_is_replaced_and_nobody_notices(fakes: type[Fakes]) -> None:
    killed = [False]

    def kill_once(_: list[float]) -> None:
        if not killed[0]:
            killed[0] = True
            raise fakes.Killed

    device = fakes.Device(kill_once)
    with fakes.running(device) as engine:
        assert fakes.scores(asyncio.run(engine.judge([fakes.row(1), fakes.row(2)]))) == [1, 2]
        assert engine.metrics.value("mkd_worker_deaths_total", device="fake:0") == 1
    assert device.built == 2


def test_an_image_that_kills_every_worker_is_answered_and_its_neighbours_are_judged(fakes: type[Fakes]) -> None:
    def kill(numbers: list[float]) -> None:
        if 13 in numbers:
            raise fakes.Killed

    with fakes.running(fakes.Device(kill)) as engine:
        assert fakes.scores(asyncio.run(engine.judge([fakes.row(1), fakes.row(13), fakes.row(2)]))) == [
            1,
            InferenceFailed,
            2,
        ]

        async def settle() -> None:
            await fakes.until(lambda: engine.ready()[0])

        asyncio.run(settle())


def test_a_device_that_keeps_dying_turns_the_service_not_ready_with_the_reason_and_back(fakes: type[Fakes]) -> None:
    broken = [True]

    def die(_: list[float]) -> None:
        if broken[0]:
            raise fakes.Killed("fan is off")

    device = fakes.Device(die)

    async def ask(engine: Engine) -> None:
        device.warm_error = RuntimeError("no such device")
        answers = await engine.judge([fakes.row(1)])
        assert fakes.scores(answers) == [NotReady]
        ready, reason = engine.ready()
        assert not ready
        assert "no such device" in reason
        with pytest.raises(NotReady, match="no such device"):
            await engine.judge([fakes.row(2)])
        broken[0], device.warm_error = False, None
        await fakes.until(lambda: engine.ready()[0])
        assert fakes.scores(await engine.judge([fakes.row(3)])) == [3]

    with fakes.running(device) as engine:
        asyncio.run(ask(engine))


def test_a_step_that_hangs_is_answered_and_its_late_answer_ignored(fakes: type[Fakes]) -> None:
    hold = fakes.HeldStep()
    hung = [False]

    def hang_once(numbers: list[float]) -> None:
        if not hung[0]:
            hung[0] = True
            hold(numbers)

    async def ask(engine: Engine) -> None:
        assert fakes.scores(await engine.judge([fakes.row(1)])) == [InferenceFailed]
        await fakes.until(lambda: engine.ready()[0])
        hold.open.set()
        assert fakes.scores(await engine.judge([fakes.row(2)])) == [2]
        await fakes.until(lambda: sum(thread.name == "worker-fake:0" for thread in threading.enumerate()) == 1)

    with fakes.running(fakes.Device(hang_once), stall_limit_s=0.05) as engine:
        asyncio.run(ask(engine))


def test_a_device_that_cannot_be_taken_into_use_stops_the_start(fakes: type[Fakes]) -> None:
    device = fakes.Device()
    device.warm_error = RuntimeError("driver too old")
    engine = Engine({"fake:0": fakes.Device().build, "fake:1": device.build})
    with pytest.raises(NotReady, match="fake:1 could not be taken into use: RuntimeError: driver too old"):
        engine.start()
    engine.stop()


def test_one_dead_device_of_two_leaves_the_service_ready(fakes: type[Fakes]) -> None:
    hold = fakes.HeldStep()
    sick = fakes.Device()

    def die(_: list[float]) -> None:
        sick.warm_error = RuntimeError("fell off the bus")
        raise fakes.Killed

    sick.do = die

    async def ask(engine: Engine) -> None:
        answers = await asyncio.gather(*(engine.judge([fakes.row(number)]) for number in range(8)))
        assert [fakes.scores(answer) for answer in answers] == [[number] for number in range(8)]
        assert engine.ready()[0]

    hold.open.set()
    with fakes.running(fakes.Device(hold), sick) as engine:
        asyncio.run(ask(engine))
