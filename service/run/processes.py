"""Runs several server processes on one port and keeps them alive until the stop.

The parent binds the port, hands the socket down, passes signals on and replaces a process that died. Metrics of all of
them add up in a folder that the parent makes before any of them imports prometheus_client.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType

from service.logs import configure, event
from service.run.settings import Settings

START_FAILED = 3  # uvicorn's exit code where the start failed: trying again would fail again
QUICK_DEATH_S = 10.0
MAX_QUICK_DEATHS = 5
LOOK_EVERY_S = 0.2

Child = Callable[[Settings, socket.socket], None]


def run(settings: Settings, child: Child | None = None) -> int:
    """Serve with several processes until SIGTERM or SIGINT; each runs `child`. Returns the exit code."""
    configure(settings.log_level)
    try:
        shared = bound_socket(settings)
    except OSError as error:
        event("the port cannot be had", logging.ERROR, host=settings.host, port=settings.port, reason=str(error))
        return START_FAILED
    with tempfile.TemporaryDirectory(prefix="mkdserve-") as folder, shared:
        metrics = Path(folder) / "metrics"
        metrics.mkdir()
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
        if settings.state_file is None:  # so that a version activated in one process is active in all
            settings = settings.model_copy(update={"state_file": Path(folder) / "state.json"})
        return Parent(settings, shared, child or serve_child).run()


def bound_socket(settings: Settings) -> socket.socket:
    """The port, bound and not yet listening, to be shared by all processes."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    shared = socket.socket(family, socket.SOCK_STREAM)
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    shared.bind((settings.host.strip("[]"), settings.port))
    shared.set_inheritable(True)
    return shared


class Parent:
    """Keeps `settings.processes` children alive."""

    def __init__(self, settings: Settings, shared: socket.socket, child: Child) -> None:
        self._settings = settings
        self._child = child
        self._socket = shared
        self._children: list[tuple[SpawnProcess, float]] = []
        self._stop = threading.Event()
        self._quick_deaths = 0
        self._exit_code = 0

    def run(self) -> int:
        """Start, watch, stop. Returns the exit code: 0 after a stop that was asked for."""
        for sig in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sig, self._on_stop)
        signal.signal(signal.SIGHUP, lambda *_: self._tell(signal.SIGHUP))
        self._children = [self._start() for _ in range(self._settings.processes)]
        while not self._stop.wait(LOOK_EVERY_S):
            self._replace_the_dead()
        self._socket.close()  # else the kernel would go on taking connections that nobody is left to answer
        self._tell(signal.SIGTERM)
        for child, _ in self._children:
            child.join()
        return self._exit_code

    def _start(self) -> tuple[SpawnProcess, float]:
        child = multiprocessing.get_context("spawn").Process(target=self._child, args=(self._settings, self._socket))
        child.start()
        return child, time.monotonic()

    def _replace_the_dead(self) -> None:
        for place, (child, started) in enumerate(self._children):
            if child.is_alive():
                continue
            forget_gauges_of(child.pid)
            event("server process died", logging.ERROR, pid=child.pid, exit_code=child.exitcode)
            quick = time.monotonic() - started < QUICK_DEATH_S
            self._quick_deaths = self._quick_deaths + 1 if quick else 0
            if child.exitcode == START_FAILED or self._quick_deaths >= MAX_QUICK_DEATHS:
                self._exit_code = START_FAILED
                self._stop.set()
                return
            self._children[place] = self._start()

    def _on_stop(self, sig: int, frame: FrameType | None) -> None:
        self._stop.set()

    def _tell(self, sig: signal.Signals) -> None:
        for child, _ in self._children:
            if child.is_alive() and child.pid is not None:
                os.kill(child.pid, sig)


def forget_gauges_of(pid: int | None) -> None:
    """Take a dead process's gauges out of the sum; its counters stay."""
    from prometheus_client.multiprocess import mark_process_dead  # reads the folder's name when it is imported

    if pid is not None:
        mark_process_dead(pid)  # type: ignore[no-untyped-call]


def serve_child(settings: Settings, shared: socket.socket) -> None:
    """What a child runs; a module-level function, as it is found by name in the fresh interpreter."""
    from service.run import server

    raise SystemExit(server.serve(settings, [shared]))
