"""The real service with one thing added: a worker that dies in its next step when the process gets SIGUSR1.

    python -m benchmarks.harness.mortal_service --artifacts FOLDER ...     (flags as of `python -m service`)

Every other death comes after the step was computed and before its verdicts are handed on.
"""

from __future__ import annotations

import dataclasses
import signal
import sys
import threading
from collections.abc import Callable, Sequence

from models.detector import Judgement, Row
from service.engine.device_runner import DeviceRunner, device_runners
from service.engine.engine import Engine
from service.products.registry import Registry
from service.run import assembly, command_line, server
from service.run.components import Components
from service.run.settings import Settings, thread_counts


class Fate:
    """Deaths that are due. `order` runs in a signal handler, `meet` in a worker's thread."""

    def __init__(self) -> None:
        self._due = threading.Event()
        self._deaths = 0

    def order(self) -> None:
        self._due.set()

    def meet(self, step: Callable[[], Sequence[Judgement]]) -> Sequence[Judgement]:
        """Runs the step, or ends the thread before or after it."""
        if not self._due.is_set():
            return step()
        self._due.clear()
        self._deaths += 1
        if self._deaths % 2 == 0:
            step()
        raise SystemExit(f"ordered death {self._deaths}")


class MortalStepper(DeviceRunner):
    """A real runner whose steps may end its thread; made from one that is taken into use already."""

    fate: Fate

    @classmethod
    def of(cls, runner: DeviceRunner, fate: Fate) -> MortalStepper:
        """The same device and source pool."""
        mortal = cls(runner.device, runner._pool)
        mortal.fate = fate
        return mortal

    def step(self, payloads: Sequence[Row]) -> Sequence[Judgement]:
        """As DeviceRunner.step, where it is not the last."""
        return self.fate.meet(lambda: super(MortalStepper, self).step(payloads))


def main() -> int:
    """Serve until SIGTERM."""
    fate = Fate()
    signal.signal(signal.SIGUSR1, lambda *_: fate.order())

    def assemble(settings: Settings) -> Components:
        parts = assembly.assemble(settings)
        threads = thread_counts(settings, on_cpu=True)
        takes = device_runners(["cpu"], engine=settings.backend, threads=threads.torch)
        mortal = {name: (lambda take=take: MortalStepper.of(take(), fate)) for name, take in takes.items()}
        engine = Engine(mortal, assembly.engine_settings(settings), parts.metrics)
        registry = Registry(
            settings.artifacts, validate=engine.validate, metrics=parts.metrics, watch_s=settings.watch_s
        )
        return dataclasses.replace(parts, engine=engine, registry=registry)

    return server.serve(command_line.read(sys.argv[1:]), None, assemble)


if __name__ == "__main__":
    sys.exit(main())
