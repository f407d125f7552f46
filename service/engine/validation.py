"""An artifact in, the certainty that every device serves it out: golden scores and real shapes, before any request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from models.artifact import Artifact
from models.backends.base import SourceKey
from service.engine.batch_limit import BatchLimit
from service.engine.latency_model import LatencyModel
from service.engine.supervisor import Supervisor
from service.engine.worker import Runner
from service.logs import event

PATIENCE_S = 60.0  # for a device whose worker is being replaced


class ValidatingRunner(Runner, Protocol):
    """A runner that knows artifacts (service.engine.device_runner.DeviceRunner)."""

    def prepare(self, artifact: Artifact) -> None: ...

    def backends(self) -> dict[str, str]: ...

    def give_back(self) -> None: ...

    def verify(self, artifact: Artifact) -> str: ...

    def step_seconds(self, artifact: Artifact, images: int) -> float: ...

    def warm(self, artifact: Artifact, images: int) -> float: ...


class Validator:
    """Remembers one artifact for each shape (source and image size), for the warm-up of workers that come later."""

    def __init__(self, limits: Mapping[str, BatchLimit], latency: LatencyModel) -> None:
        self._limits = limits
        self._latency = latency
        self._lock = threading.Lock()
        self._shapes: dict[tuple[SourceKey, int], Artifact] = {}

    def validate(self, artifact: Artifact, supervisor: Supervisor[ValidatingRunner]) -> str:
        """Verify and warm up on every device, one step at a time between the requests' batches.

        Returns which golden images were judged, in words. A shape that has run before is not run again: requests wait
        for it, and the golden images have run the head, scores and a map. Raises what the runner raises (ArtifactError
        for wrong scores), or NotReady where no device takes the work.
        """
        checked: dict[str, str] = {}
        shape = (artifact.source, artifact.preprocessing.image_size)
        for device in supervisor.devices:
            tasks: list[Callable[[ValidatingRunner], None]] = [self._verifying(artifact, device, checked)]
            tasks += [self._warming(artifact, count) for count in self._counts(artifact, device, shape)]
            supervisor.run_on(device, lambda runner: runner.prepare(artifact), tasks, patience_s=PATIENCE_S)
        with self._lock:
            self._shapes[shape] = artifact
        words = "; ".join(checked.values() if len(checked) < 2 else (f"{name}: {checked[name]}" for name in checked))
        event("golden pictures checked", product=artifact.manifest.product, pictures=words)
        return words

    def warm_up(self, runner: ValidatingRunner, device: str) -> None:
        """On the thread of a new worker, before it serves: every known shape, one image and as many as may come."""
        with self._lock:
            artifacts = list(self._shapes.values())
        for artifact in artifacts:
            runner.prepare(artifact)
            for count in (1, self._most(artifact, device)):
                runner.warm(artifact, count)

    def _counts(self, artifact: Artifact, device: str, shape: tuple[SourceKey, int]) -> tuple[int, ...]:
        with self._lock:
            known = shape in self._shapes
        if known:
            return ()
        most = self._most(artifact, device)
        # On a GPU twice each: the first run of a shape compiles, the second is what a batch will cost.
        return (1, most) if device == "cpu" else (1, 1, most, most)

    def _most(self, artifact: Artifact, device: str) -> int:
        limit = self._limits[device]
        return max(1, min(limit.images, limit.pixels // artifact.preprocessing.image_size**2))

    @staticmethod
    def _verifying(artifact: Artifact, device: str, checked: dict[str, str]) -> Callable[[ValidatingRunner], None]:
        def run(runner: ValidatingRunner) -> None:
            checked[device] = runner.verify(artifact)

        return run

    def _warming(self, artifact: Artifact, count: int) -> Callable[[ValidatingRunner], None]:
        def run(runner: ValidatingRunner) -> None:
            seconds = runner.step_seconds(artifact, count)
            self._latency.observe(count, count * artifact.preprocessing.image_size**2, seconds)

        return run
