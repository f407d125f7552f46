"""The real service with two things exchanged: its source network, and its wall clock, which can be stepped.

    python -m tests.chaos.stand_in_service --artifacts FOLDER ...      (flags as of `python -m service`)

The clock's steps are seconds, a double in the file that CLOCK_FILE names.
"""

from __future__ import annotations

import dataclasses
import mmap
import os
import socket
import struct
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from service.machine import openmp
from service.run import command_line, processes
from service.run.settings import Settings

if TYPE_CHECKING:
    from service.run.components import Components

CLOCK_FILE = "CHAOS_CLOCK_FILE"
SECONDS = struct.Struct("d")


def step_clock_by(file: Path) -> None:
    """From here on `time.time` of this process is off by what stands in the file."""
    with file.open("r+b") as opened:
        steps = mmap.mmap(opened.fileno(), SECONDS.size)
    true_time = time.time

    def stepped() -> float:
        return true_time() + float(SECONDS.unpack_from(steps)[0])

    time.time = stepped


def assemble(settings: Settings, shared: Path | None = None) -> Components:
    """As service.run.assembly, with devices that have the stand-in."""
    # Imported here: as in the real service, the parent takes no torch.
    import torch

    from service.engine.device_runner import DeviceRunner
    from service.engine.engine import Engine
    from service.run import assembly
    from tests.chaos.stand_in_source import StandInPool

    parts = assembly.assemble(settings, shared)
    runners = {"cpu": lambda: DeviceRunner(torch.device("cpu"), StandInPool())}
    engine = Engine(runners, assembly.engine_settings(settings), parts.metrics)
    registry = assembly.registry_of(settings, engine, parts.metrics, shared)
    return dataclasses.replace(parts, engine=engine, registry=registry)


def child(settings: Settings, port: socket.socket, shared: Path) -> None:
    """See service.run.processes.serve_child."""
    from service.run import server

    step_clock_by(Path(os.environ[CLOCK_FILE]))
    mark = shared / processes.STARTED.format(os.getpid())
    raise SystemExit(server.serve(settings, [port], partial(assemble, shared=shared), on_started=mark.touch))


def main() -> int:
    """Serve until SIGTERM."""
    settings = command_line.read(sys.argv[1:])
    openmp.let_waiting_threads_sleep()
    return processes.run(settings, child)


if __name__ == "__main__":
    from tests.chaos import stand_in_service  # the processes look `child` up by this name

    sys.exit(stand_in_service.main())
