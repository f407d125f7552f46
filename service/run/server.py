"""Serves a port until SIGTERM or SIGINT, then drains it and ends with exit code 0.

uvicorn with four changes: a stop during the start ends the process, readiness turns red at the signal and not when the
port closes, requests that are left at the end of the drain are answered instead of cut off, and a stop that was asked
for is a success (uvicorn raises the signal again, which makes it exit code 143).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn
from fastapi import FastAPI

from service.logs import configure, event
from service.rest.protocol import protocol_class
from service.run.application import create_app, lifecycle_of
from service.run.assembly import assemble as assemble_components
from service.run.command_line import unknown_variables, warn
from service.run.components import Assemble
from service.run.interpreter import collect_garbage_seldom, take_turns_quickly
from service.run.settings import Settings, is_loopback
from service.shutdown_flag import ShutdownFlag

LAST_WORDS_S = 2  # for answers to leave after the drain's end
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class InspectionServer(uvicorn.Server):
    """A uvicorn server that sets the shutdown flag first. It overrides public methods alone."""

    def __init__(
        self,
        config: uvicorn.Config,
        shutdown: ShutdownFlag,
        settings: Settings,
        *,
        on_hangup: Callable[[], None],
        on_last_call: Callable[[], None],
        on_started: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(config)
        self._shutdown_flag = shutdown
        self._on_started = on_started
        self._settings = settings
        self._on_hangup = on_hangup
        self._on_last_call = on_last_call

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A first signal begins the stop; a second SIGINT gives up on what is left, as a person at a terminal means.

        During the start nobody has been promised anything, and what loads in a thread cannot be called off: the process
        ends at once.
        """
        if not self.started:
            event("stopped during the start")
            logging.shutdown()
            os._exit(0)
        self._shutdown_flag.set()
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals for the time of serving and give them back, without raising them again."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {sig: signal.signal(sig, self.handle_exit) for sig in STOP_SIGNALS}
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda *_: self._on_hangup())
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_started()

    async def main_loop(self) -> None:
        await super().main_loop()
        waited = 0.0
        while waited < self._settings.drain_delay_s and not self.force_exit:
            await asyncio.sleep(0.1)
            waited += 0.1

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._shutdown_flag.set()
        last_call = asyncio.get_running_loop().call_later(self._settings.drain_s, self._on_last_call)
        try:
            await super().shutdown(sockets)
        finally:
            last_call.cancel()


def serve(
    settings: Settings,
    sockets: list[socket.socket] | None = None,
    assemble: Assemble = assemble_components,
    on_started: Callable[[], None] = lambda: None,
) -> int:
    """Run one server process until it is told to stop, on `sockets` if a parent bound them. Returns the exit code.

    `on_started` is called once the port is served.
    """
    configure(settings.log_level)
    take_turns_quickly()
    say_how_open(settings)
    if unknown := unknown_variables():
        event("variables that are no settings", logging.WARNING, names=unknown)
    app = create_app(settings, assemble)
    server = make_server(app, settings, on_started)
    collect_garbage_seldom()
    try:
        server.run(sockets)
    except SystemExit as exit_:  # uvicorn leaves this way where the start failed, with the reason logged
        return exit_.code if isinstance(exit_.code, int) else 1
    event("stopped")
    return 0


def make_server(app: FastAPI, settings: Settings, on_started: Callable[[], None] = lambda: None) -> InspectionServer:
    """The server for `app`, not yet running."""
    lifecycle = lifecycle_of(app)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=protocol_class(lifecycle.checks),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=math.ceil(settings.drain_s) + LAST_WORDS_S,
    )
    return InspectionServer(
        config,
        lifecycle.checks.shutdown,
        settings,
        on_hangup=lifecycle.reload_keys,
        on_last_call=lifecycle.answer_what_is_left,
        on_started=on_started,
    )


def say_how_open(settings: Settings) -> None:
    """One loud line where anybody can use the service."""
    if settings.auth_enabled:
        return
    if settings.insecure_no_auth and not is_loopback(settings.host):
        warn("=" * 100)
        warn(
            f"WARNING: NO API KEYS, as --insecure-no-auth says: whoever reaches {settings.host}:{settings.port} may ask"
        )
        warn("the service to judge, read its metrics, and load, switch and unload its products.")
        warn("=" * 100)
    event(
        "no api keys: every caller may do everything",
        logging.WARNING,
        host=settings.host,
        insecure=settings.insecure_no_auth,
    )
