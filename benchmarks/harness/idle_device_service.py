"""The real service around a device that answers at once, so that what lies around the network can be counted.

    python -m benchmarks.harness.idle_device_service --artifacts FOLDER ...     (flags as of `python -m service`)

Scores are the mean of the network's input: they mean nothing, and cost next to nothing.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

import numpy as np

from models.artifact import Artifact
from models.detector import Judgement, Row
from service.engine.engine import Engine
from service.engine.worker import FaultKind
from service.run import assembly, command_line, server
from service.run.components import Components
from service.run.settings import Settings


class IdleDevice:
    """A runner without a network; see service.engine.validation.ValidatingRunner."""

    def step(self, payloads: Sequence[Row]) -> Sequence[Judgement]:
        """One judgement for each row."""
        maps = (np.zeros(row.image.shape[1:], np.float32) if row.wants_map else None for row in payloads)
        return [Judgement(float(row.image[0, 0].mean()), map) for row, map in zip(payloads, maps, strict=True)]

    def complaint(self, payload: Row, verdict: object) -> str | None:
        """None: it makes no mistakes."""

    def diagnose(self, error: Exception) -> FaultKind:
        """Never due to the device."""
        return "images"

    def relieve(self) -> None:
        """It holds nothing."""

    def memory_bytes(self) -> int:
        """See relieve."""
        return 0

    def prepare(self, artifact: Artifact) -> None:
        """There is nothing to build."""

    def backends(self) -> dict[str, str]:
        """None."""
        return {}

    def give_back(self) -> None:
        """See relieve."""

    def verify(self, artifact: Artifact) -> str:
        """Its scores are not the artifact's."""
        return "none: no network"

    def step_seconds(self, artifact: Artifact, images: int) -> float:
        """See warm."""
        return 0.001 * images

    def warm(self, artifact: Artifact, images: int) -> float:
        """A step of a millisecond an image, which is what admission reckons with."""
        return 0.001 * images


def assemble(settings: Settings) -> Components:
    """The usual components with that device."""
    parts = assembly.assemble(settings)
    engine = Engine({"cpu": IdleDevice}, assembly.engine_settings(settings), parts.metrics)
    registry = assembly.registry_of(settings, engine, parts.metrics, None)
    return dataclasses.replace(parts, engine=engine, registry=registry)


if __name__ == "__main__":
    sys.exit(server.serve(command_line.read(sys.argv[1:]), None, assemble))
