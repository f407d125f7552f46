"""Takes one part from its trigger to its verdict: picture, judge, and what goes wrong on the way, as codes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from service import logs
from service.gateway.codes import Code
from service.gateway.events import Acquire, Effect, Phase
from service.gateway.judge import GatewayVerdict, Ids, Judge, JudgeError
from service.gateway.metrics import LineMetrics
from service.gateway.picture import Picture, PictureError
from service.gateway.ports import Source
from service.gateway.station import Station
from service.gateway.watch import Watch


class PartInspection:
    """Works for one station; `do` carries out what the state machine says of each step."""

    def __init__(
        self,
        name: str,
        station: Station,
        source: Source | None,
        judge: Judge,
        metrics: LineMetrics,
        watch: Watch,
        do: Callable[[list[Effect]], None],
        run: str,
        *,
        any_size: bool,
    ) -> None:
        self._name = name
        self._station = station
        self._source = source
        self._judge = judge
        self._metrics = metrics
        self._watch = watch
        self._do = do
        self._run = run
        self._any_size = any_size

    async def inspect(self, order: Acquire, brought: Picture | None) -> None:
        """One cycle; `brought` is the picture that came with the trigger."""
        started = time.monotonic()
        try:
            picture = brought if brought is not None else await self._acquire(order)
        except PictureError as error:
            self._failed("picture", order, error.code, str(error))
            return
        except Exception as error:
            logging.getLogger("mkdserve").exception("fault of a source, station %s", self._name)
            self._failed("picture", order, Code.INTERNAL, repr(error))
            return
        taken = time.monotonic()
        self._metrics.seconds(self._name, "picture", taken - started)
        self._do(self._station.picture(taken, order.cycle))
        if self._station.phase is Phase.JUDGING and self._station.cycle == order.cycle:
            await self._judge_it(order, picture, taken)

    async def _acquire(self, order: Acquire) -> Picture:
        if self._source is None:
            raise PictureError(Code.PICTURE_UNREADABLE, "the trigger brought no picture and the station has no source")
        try:
            return await self._source.acquire(order)
        except PictureError as error:
            if error.code is Code.CAMERA_LOST:
                self._watch.camera_lost()
            raise

    async def _judge_it(self, order: Acquire, picture: Picture, taken: float) -> None:
        request = order.request
        ids = Ids(self._name, request.trigger_id, request.part_id, order.cycle, self._run)
        try:
            verdict = await self._judge.judge(picture, order.product, order.deadline, ids)
        except JudgeError as error:
            self._failed("verdict", order, error.code, str(error))
            if error.code in (Code.SERVICE_UNREACHABLE, Code.SERVICE_NOT_READY):
                self._watch.service_lost(error.code)
            return
        except Exception as error:
            logging.getLogger("mkdserve").exception("fault of the judge, station %s", self._name)
            self._failed("verdict", order, Code.INTERNAL, repr(error))
            return
        if self._any_size:
            verdict = replace(verdict, size_seen=None)
        if (fault := verdict.fault(order.product)) is not None:
            self._log("verdict", order, fault, _words(verdict))
        now = time.monotonic()
        self._metrics.seconds(self._name, "verdict", now - taken)
        self._do(self._station.verdict(now, order.cycle, verdict))

    def _failed(self, what: str, order: Acquire, code: Code, text: str) -> None:
        self._log(what, order, code, text)
        now = time.monotonic()
        failed = self._station.picture_failed if what == "picture" else self._station.verdict_failed
        self._do(failed(now, order.cycle, code))

    def _log(self, what: str, order: Acquire, code: Code, text: str) -> None:
        logs.event(
            f"no {what}",
            logging.WARNING,
            station=self._name,
            cycle=order.cycle,
            trigger_id=order.request.trigger_id,
            code=code.name.lower(),
            detail=text,
        )


def _words(verdict: GatewayVerdict) -> str:
    """What a verdict that is not sound says."""
    if verdict.size_seen is False:
        return f"{verdict.product} {verdict.version} was calibrated on no picture of {verdict.size} pixels"
    return f"{verdict.product}: {verdict.decision}, score {verdict.score}, threshold {verdict.threshold}"
