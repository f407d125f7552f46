"""All stations of one line.toml at work in one event loop, with the gateway's own HTTP server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from service import logs
from service.gateway.answer_trail import AnswerTrail
from service.gateway.codes import Code
from service.gateway.http_judge import HttpJudge
from service.gateway.judge import Judge
from service.gateway.links.http_link import HttpLink
from service.gateway.metrics import LineMetrics
from service.gateway.outputs.spooled import SpooledOutput
from service.gateway.ports import Link
from service.gateway.runner import StationRunner
from service.gateway.server import LineServer
from service.gateway.settings import LineSettings, StationSettings
from service.gateway.station import Station

FAREWELL_S = 0.3  # in which links write the fail-safe value
LINK_AGAIN_S = 1.0
CHATTY = (
    "asyncua",
    "httpx",
    "httpcore",
    "pymodbus",
    "pymodbus.logging",
    "snap7",
    "pycomm3",
    "pyads",
    "aiomqtt",
    "mqtt",
)


class Gateway:
    """Runs until `stop` is called. `judge` replaces the HTTP client of `[service]`."""

    def __init__(self, settings: LineSettings, judge: Judge | None = None) -> None:
        self._settings = settings
        self.metrics = LineMetrics()
        self.judge = judge or _http_judge(settings)
        run = secrets.token_hex(4)
        state = settings.gateway.state_dir
        folder, days = settings.gateway.audit_folder, settings.gateway.audit_keep_days
        self.trail = AnswerTrail(folder, days, run) if folder is not None else None
        stations = [station.name for station in settings.station]
        self.outputs = [output.output(state, self.metrics, stations) for output in settings.output]
        self.runners = [self._runner(station, run) for station in settings.station]
        pairs = zip(settings.station, self.runners, strict=True)
        self.links: dict[str, Link] = {runner.name: station.link.link(runner) for station, runner in pairs}
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Asks `run` to end in good order."""
        self._stopping.set()

    async def run(self) -> None:
        """From start to stop."""
        async with self.running():
            await self._stopping.wait()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Takes triggers while it is entered. Raises OSError where its own HTTP port is taken."""
        quieten_libraries()
        try:
            await self._begin()
            async with contextlib.AsyncExitStack() as stack:
                if self._settings.gateway.port:
                    http = {name: link for name, link in self.links.items() if isinstance(link, HttpLink)}
                    pages = [self.trail.render] if self.trail is not None else []
                    server = LineServer(self._settings.gateway, self.metrics, self.runners, http, pages)
                    await stack.enter_async_context(server)
                logs.event("line ready", stations=[runner.name for runner in self.runners])
                yield
        finally:
            await self._end()

    async def _begin(self) -> None:
        for observer in self._observers():
            observer.condition = self._conditions(f"output {observer.name}")
            task = asyncio.create_task(observer.run())
            task.add_done_callback(_log_fault)
            self._tasks.append(task)
        every_s = self._settings.service.check_ms / 1000
        for name, link in self.links.items():
            self._keep(name, link.run())
        await asyncio.gather(*(runner.start(watch_service_s=every_s) for runner in self.runners))

    async def _end(self) -> None:
        await asyncio.gather(*(runner.stop() for runner in self.runners))
        await asyncio.sleep(FAREWELL_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.judge.close()
        logs.event("line stopped")

    def _observers(self) -> list[AnswerTrail | SpooledOutput]:
        return [*([self.trail] if self.trail is not None else []), *self.outputs]

    def _runner(self, station: StationSettings, run: str) -> StationRunner:
        machine = Station(station.recipes, station.window_ms / 1000)
        return StationRunner(
            station.name,
            machine,
            station.source.make() if station.source is not None else None,
            self.judge,
            self.metrics,
            run=run,
            heartbeat_s=self._settings.gateway.heartbeat_ms / 1000,
            plc_silent_after_s=station.plc_silent_after_ms / 1000,
            any_size=station.picture_size == "any",
            observers=self._observers(),
        )

    def _conditions(self, name: str) -> Callable[[Code | None], None]:
        """Tells all stations of a condition: none may answer what cannot be recorded."""

        def tell(code: Code | None) -> None:
            for runner in self.runners:
                runner.condition(name, code)

        return tell

    def _keep(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """A link that raises is a lost link: it is begun anew."""

        async def kept() -> None:
            coroutine = work
            while True:
                try:
                    await coroutine
                except Exception as error:
                    logs.event("link failed", logging.ERROR, station=name, detail=repr(error)[:500])
                runner = next(runner for runner in self.runners if runner.name == name)
                runner.lost()
                await asyncio.sleep(LINK_AGAIN_S)
                coroutine = self.links[name].run()

        self._tasks.append(asyncio.create_task(kept()))


def quieten_libraries() -> None:
    """Keeps what libraries say of each message out of the log."""
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _log_fault(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logging.getLogger("mkdserve").error("fault of an output", exc_info=task.exception())


def _http_judge(settings: LineSettings) -> HttpJudge:
    key = settings.service.key.read() if settings.service.key is not None else ""
    return HttpJudge(settings.service.url, key=key)
