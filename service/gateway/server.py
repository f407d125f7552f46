"""The gateway's own HTTP server: metrics, liveness, the states of its stations, and triggers by HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from service.gateway.codes import MEANINGS
from service.gateway.links.http_link import HttpLink
from service.gateway.metrics import LineMetrics
from service.gateway.runner import StationRunner

if TYPE_CHECKING:
    from service.gateway.settings import GatewaySettings

STARTS_WITHIN_S = 10.0


class LineServer:
    """Serves while it is entered. `pages` give metrics beside those of `metrics`."""

    def __init__(
        self,
        settings: GatewaySettings,
        metrics: LineMetrics,
        runners: Sequence[StationRunner],
        http: Mapping[str, HttpLink],
        pages: Sequence[Callable[[], bytes]] = (),
    ) -> None:
        self._pages = (metrics.render, *pages)
        self._runners = {runner.name: runner for runner in runners}
        self._http = http
        routes = [
            Route("/metrics", self._metrics_page),
            Route("/healthz", self._health),
            Route("/stations", self._stations),
            Route("/stations/{name}/trigger", self._trigger, methods=["POST"]),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes), settings.host, settings.port, log_config=None, access_log=False, lifespan="off"
        )
        self._address = settings.host, settings.port
        self._server = uvicorn.Server(config)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        # uvicorn's own handlers of signals would end the process before the stations have said their last word.
        self._server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
        self._task = asyncio.create_task(self._server.serve([self._listening()]))
        async with asyncio.timeout(STARTS_WITHIN_S):
            while not self._server.started:
                if self._task.done():
                    raise OSError("the gateway's HTTP server has ended at its start; its log says why")
                await asyncio.sleep(0.01)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        if self._task is not None:
            await self._task

    def _listening(self) -> socket.socket:
        """Bound here: where that fails uvicorn would end the whole process. Raises OSError."""
        host, port = self._address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            return socket.create_server((host, port), family=family)
        except OSError as error:
            raise OSError(f"the gateway's HTTP port {host}:{port} cannot be had: {error.strerror or error}") from None

    async def _metrics_page(self, _: Request) -> Response:
        return PlainTextResponse(b"".join(page() for page in self._pages))

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _stations(self, _: Request) -> Response:
        return JSONResponse({"stations": [_state(runner) for runner in self._runners.values()]})

    async def _trigger(self, request: Request) -> Response:
        link = self._http.get(request.path_params["name"])
        if link is None:
            detail = f"stations that take triggers by HTTP: {', '.join(self._http) or 'none'}"
            return JSONResponse({"title": "No such station", "status": 404, "detail": detail}, 404)
        return await link.trigger(request)


def _state(runner: StationRunner) -> dict[str, object]:
    shown = runner.outputs()
    return {
        "name": runner.name,
        "phase": shown.phase.value,
        "ready": shown.ready,
        "decision": shown.decision.value if shown.decision is not None else None,
        "trigger_id": shown.trigger_id,
        "result": shown.result,
        "code": int(shown.code),
        "meaning": MEANINGS[shown.code],
        "refused": shown.refused,
        "faults": shown.faults,
    }
