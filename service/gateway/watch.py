"""Watches a station's camera and judging service: what is gone makes the station not ready until it is back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from service import logs
from service.gateway.codes import Code
from service.gateway.judge import Judge
from service.gateway.metrics import LineMetrics
from service.gateway.picture import PictureError
from service.gateway.ports import Source

Condition = Callable[[str, Code | None], None]
OPEN_AGAIN_S = (0.2, 0.5, 1.0, 2.0)


class Watch:
    """Reports conditions `camera` and `service` by `condition(name, code)`, None for well."""

    def __init__(self, station: str, metrics: LineMetrics, condition: Condition) -> None:
        self._station = station
        self._metrics = metrics
        self._condition = condition
        self._codes: dict[str, Code | None] = {}
        self._wake_camera = asyncio.Event()
        self._wake_service = asyncio.Event()

    def camera_lost(self) -> None:
        """A cycle has found the camera gone."""
        self._report("camera", Code.CAMERA_LOST, "found by a trigger")
        self._wake_camera.set()

    def service_lost(self, code: Code) -> None:
        """A cycle has found the service gone."""
        self._report("service", code, "found by a part")
        self._wake_service.set()

    async def camera_once(self, source: Source) -> bool:
        """Opens the source; whether that went well."""
        try:
            await source.open()
        except PictureError as error:
            self._report("camera", error.code, str(error))
            return False
        except Exception as error:
            logging.getLogger("mkdserve").exception("fault of a source, station %s", self._station)
            self._report("camera", Code.CAMERA_LOST, repr(error))
            return False
        self._report("camera", None, "")
        return True

    async def camera(self, source: Source, busy: Callable[[], bool], every_s: float) -> None:
        """Checks the source while no cycle runs, and opens it anew where it is gone."""
        tries = 0
        while True:
            if self._codes.get("camera") is not None:
                await source.close()
                tries = 0 if await self.camera_once(source) else tries + 1
                if tries:
                    await asyncio.sleep(OPEN_AGAIN_S[min(tries, len(OPEN_AGAIN_S)) - 1])
                continue
            await _either(self._wake_camera, every_s)
            if self._codes.get("camera") is None and not busy():
                try:
                    await source.check()
                except PictureError as error:
                    self._report("camera", error.code, str(error))

    async def service_once(self, judge: Judge) -> None:
        """Asks the service once whether it is ready."""
        self._report("service", await judge.ready(), "asked for its readiness")

    async def service(self, judge: Judge, every_s: float) -> None:
        """Asks the service now and then whether it is ready."""
        while True:
            await _either(self._wake_service, every_s if self._codes.get("service") is None else min(every_s, 0.5))
            await self.service_once(judge)

    def _report(self, name: str, code: Code | None, text: str) -> None:
        known = name in self._codes
        before = self._codes.get(name)
        self._codes[name] = code
        self._metrics.set("mkd_line_connected", float(code is None), station=self._station, peer=name)
        if known and before == code:
            return
        if code is not None:
            word = code.name.lower()
            logs.event(f"{name} is gone", logging.WARNING, station=self._station, code=word, detail=text)
        elif known:
            self._metrics.count("mkd_line_reconnections_total", station=self._station, peer=name)
            logs.event(f"{name} is back", station=self._station)
        self._condition(name, code)


async def _either(wake: asyncio.Event, seconds: float) -> None:
    """Until the event is set, or so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        pass
    wake.clear()
