"""Runs several server processes on one port and keeps them alive until the stop.

The parent binds the port, hands the socket down, passes signals on and replaces a process that died; it gives up only
where none has ever started. All are forked from one process that has imported what they need (`multiprocessing`'s fork
server), so that they share that memory and a replacement starts at once. A process ends when its parent is gone or that
process, by whatever cause. All of them share a folder: their metrics add up in it, and by it they agree on the version
of each product.
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
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

from models.exit_codes import ExitCode
from service.logs import configure, event
from service.products.agreement import Agreement
from service.run.port import bound_socket
from service.run.settings import Settings

LOOK_EVERY_S = 0.2
FIRST_PAUSE_S, MOST_PAUSE_S = 1.0, 60.0  # before a process that could not be started is started again
SERVED_PAUSE_S = 4.0  # at most, before one that has served: whatever killed it may have killed the others as well
LIVED_S = 60.0  # after which a death is no sign of a start that fails
LAST_WORDS_S = 10.0
PRELOADED = ("service.run.preload",)
ONE_THREAD = "OPENBLAS_NUM_THREADS"  # numpy's own products: none is worth a thread, and none may run where is forked
STARTED = "started-{}"  # the file by which the process of that number says that it serves

Child = Callable[[Settings, socket.socket, Path], None]


def run(settings: Settings, child: Child | None = None) -> int:
    """Serve with several processes until SIGTERM or SIGINT; each runs `child`. Returns the exit code.

    Raises PortTaken.
    """
    configure(settings.log_level)
    with bound_socket(settings) as port, tempfile.TemporaryDirectory(prefix="mkdserve-") as folder:
        shared = Path(folder)
        (shared / "metrics").mkdir()
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(shared / "metrics")
        Agreement.begin(shared)
        return Parent(settings, port, shared, child or serve_child).run()


@dataclass
class _Place:
    """One of the processes: the one that runs now, and how those before it ended."""

    process: BaseProcess | None = None
    started_at: float = 0.0
    pause_s: float = 0.0
    restart_at: float = 0.0
    failed: bool = False


class Parent:
    """Keeps `settings.processes` children alive."""

    def __init__(self, settings: Settings, port: socket.socket, shared: Path, child: Child) -> None:
        self._settings = settings
        self._child = child
        self._socket = port
        self._shared = shared
        self._places = [_Place() for _ in range(settings.processes)]
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(list(PRELOADED))
        os.environ.setdefault(ONE_THREAD, "1")
        self._stop = threading.Event()
        self._exit_code = 0

    def run(self) -> int:
        """Start, watch, stop. Returns the exit code: 0 after a stop that was asked for."""
        for sig in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sig, self._on_stop)
        signal.signal(signal.SIGHUP, lambda *_: self._tell(signal.SIGHUP))
        for place in self._places:
            self._start(place)
        while not self._stop.wait(LOOK_EVERY_S):
            self._replace_the_dead()
        self._socket.close()  # else the kernel would go on taking connections that nobody is left to answer
        self._tell(signal.SIGTERM)
        for place in self._places:
            if place.process is not None:
                place.process.join()
        return self._exit_code

    def _start(self, place: _Place) -> None:
        arguments = (self._child, self._settings, self._socket, self._shared)
        place.process = self._processes.Process(target=run_child, args=arguments)
        place.process.start()
        place.started_at = time.monotonic()

    def _replace_the_dead(self) -> None:
        now = time.monotonic()
        for place in self._places:
            if place.process is not None and not place.process.is_alive():
                self._note_the_death(place, now)
        one_started = any(self._shared.glob(STARTED.format("*")))
        if not one_started and all(place.failed for place in self._places):
            event("no process could be started", logging.ERROR)
            self._exit_code = ExitCode.START_FAILED
            self._stop.set()
            return
        for place in self._places:
            # Until one has started, a start that failed would most likely fail again, and the others need the cores.
            if place.process is None and now >= place.restart_at and (one_started or not place.failed):
                self._start(place)

    def _note_the_death(self, place: _Place, now: float) -> None:
        assert place.process is not None
        dead, place.process = place.process, None
        forget_gauges_of(dead.pid)
        event("server process died", logging.ERROR, pid=dead.pid, exit_code=dead.exitcode)
        place.failed = not (self._shared / STARTED.format(dead.pid)).exists()
        early = place.failed or now - place.started_at < LIVED_S
        most = MOST_PAUSE_S if place.failed else SERVED_PAUSE_S
        place.pause_s = min(most, 2 * place.pause_s or FIRST_PAUSE_S) if early else 0.0
        place.restart_at = now + (place.pause_s if place.failed else place.pause_s - FIRST_PAUSE_S)

    def _on_stop(self, sig: int, frame: FrameType | None) -> None:
        self._stop.set()

    def _tell(self, sig: signal.Signals) -> None:
        for place in self._places:
            if place.process is not None and place.process.is_alive() and place.process.pid is not None:
                os.kill(place.process.pid, sig)


def forget_gauges_of(pid: int | None) -> None:
    """Take a dead process's gauges out of the sum; its counters stay."""
    from prometheus_client.multiprocess import mark_process_dead  # reads the folder's name when it is imported

    if pid is not None:
        mark_process_dead(pid)  # type: ignore[no-untyped-call]


def end_with_parent(drain_s: float) -> None:
    """From here on this process ends when its parent does, by whatever cause: as at SIGTERM, or at once if that hangs.

    The pipe that `multiprocessing` keeps to the parent is closed by the kernel, so no death goes unnoticed. Without the
    process that it was forked from the parent could not see whether this one lives, so that one's end is the same.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    forked_from = os.pidfd_open(os.getppid()) if hasattr(os, "pidfd_open") else None

    def watch() -> None:
        wait([parent.sentinel, *([] if forked_from is None else [forked_from])])
        event("the parent process is gone", logging.ERROR)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(drain_s + LAST_WORDS_S)
        os._exit(ExitCode.FAULT)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def run_child(child: Child, settings: Settings, port: socket.socket, shared: Path) -> None:
    """What a process runs; a module-level function, as it is found by name in the forked interpreter."""
    end_with_parent(settings.drain_delay_s + settings.drain_s)
    child(settings, port, shared)


def serve_child(settings: Settings, port: socket.socket, shared: Path) -> None:
    """The real service on that port."""
    from service.run import server
    from service.run.assembly import assemble

    mark = shared / STARTED.format(os.getpid())
    raise SystemExit(server.serve(settings, [port], partial(assemble, shared=shared), on_started=mark.touch))
