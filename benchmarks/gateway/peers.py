"""A camera and a judge that do to each part what its fault says."""

from __future__ import annotations

import asyncio

from benchmarks.gateway.plan import Bench
from service.gateway.codes import Code
from service.gateway.events import Acquire
from service.gateway.judge import GatewayVerdict, Ids, JudgeError
from service.gateway.picture import Picture, PictureError

JUDGE_CODES = {"429": Code.SERVICE_OVERLOADED, "503": Code.SERVICE_NOT_READY, "504": Code.SERVICE_DEADLINE}


class Camera:
    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    async def open(self) -> None:
        """Always there."""

    async def acquire(self, order: Acquire) -> Picture:
        fault = self._bench.fault[order.request.trigger_id]
        await asyncio.sleep(3600 if fault == "picture late" else 0.002)
        if fault == "camera lost":
            raise PictureError(Code.CAMERA_LOST, fault)
        if fault == "picture of another trigger":
            raise PictureError(Code.PICTURE_NOT_OF_TRIGGER, fault)
        return Picture(str(order.request.trigger_id).encode())

    async def check(self) -> None:
        """Always well."""

    async def close(self) -> None:
        """Nothing is open."""


class FaultyJudge:
    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    async def judge(self, picture: Picture, product: str, deadline: float, ids: Ids) -> GatewayVerdict:
        number = int(picture.data)
        fault, good = self._bench.fault[number], self._bench.is_good[number]
        await asyncio.sleep(3600 if fault == "verdict late" else 0.002)
        if fault in JUDGE_CODES:
            raise JudgeError(JUDGE_CODES[fault], fault)
        if fault == "service unreachable":
            raise JudgeError(Code.SERVICE_UNREACHABLE, fault)
        score = 1.0 if good else 3.0
        if fault == "score not a number":
            return GatewayVerdict(product, "OK", float("nan"), 2.0)
        if fault == "verdict contradicts its score":
            return GatewayVerdict(product, "OK", 3.0, 2.0)
        if fault == "verdict of another product":
            return GatewayVerdict("another", "OK", 1.0, 2.0)
        return GatewayVerdict(product, "OK" if good else "NG", score, 2.0)

    async def ready(self) -> Code | None:
        return None

    async def close(self) -> None:
        """Nothing is open."""
