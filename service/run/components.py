"""The parts of one server process, made as the settings ask and not yet started."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from service.engine.engine import Engine
from service.inspection.observers import VerdictObserver
from service.metrics import Metrics
from service.products.registry import Registry
from service.run.settings import Settings


@dataclass(frozen=True)
class Components:
    """`threads` counts those for decoding and encoding; `observers` are told of every verdict, after the metrics."""

    engine: Engine
    registry: Registry
    metrics: Metrics
    threads: int
    observers: tuple[VerdictObserver, ...] = ()
    secret_folder: Path | None = None  # where the secret of the page's sessions lies; None for one in memory


Assemble = Callable[[Settings], Components]
