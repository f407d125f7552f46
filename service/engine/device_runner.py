"""Rows in, judgements out, on one device: what a worker owns, and how it tells one fault of the device from another."""

from __future__ import annotations

import copy
import dataclasses
import gc
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import psutil
import torch

from models.artifact import Artifact
from models.artifact.golden_check import GoldenChecks, all_checked
from models.backends.choice import BackendName
from models.backends.conditions import score_conditions
from models.backends.pool import SourcePool
from models.detector import Detector, Judgement, Row
from models.heads.base import Head, to_device
from models.heads.grouped import GroupedHead, heads_of
from service.engine.step_times import StepTime, step_times
from service.engine.worker import FaultKind

OUT_OF_MEMORY = ("out of memory", "DefaultCPUAllocator", "ALLOC_FAILED", "bad_alloc")
DEVICE_LOST = ("CUDA error", "device-side assert", "cuDNN error", "CUBLAS_STATUS", "unspecified launch failure")


class DeviceRunner:
    """One device taken into use. Heads stay on the CPU with the registry; a GPU gets a copy that goes with the head.

    `kept` is the folder of what this machine has found before: golden checks that passed, seconds of a warm-up on the
    CPU. With None all of it is done anew.
    """

    def __init__(self, device: torch.device, pool: SourcePool, kept: Path | None = None) -> None:
        self.device = device
        self._pool = pool
        self._golden_checks = GoldenChecks(kept) if kept is not None else None
        # On a GPU a shape's first step in each process compiles and allocates.
        self._step_times = step_times(kept) if kept is not None and device.type == "cpu" else None
        self._detector = Detector(device, pool)
        self._placed: WeakKeyDictionary[Head, Head] = WeakKeyDictionary()

    def step(self, payloads: Sequence[Row]) -> Sequence[Judgement]:
        """One Judgement for each row, in order."""
        return self._detector.judge([row._replace(head=self._place(row.head)) for row in payloads])

    def complaint(self, payload: Row, verdict: object) -> str | None:
        """A verdict must be finite and carry a map of the row's size if, and only if, the row asked for one."""
        if not isinstance(verdict, Judgement):
            return f"a {type(verdict).__name__} came back instead of a judgement"
        if not np.isfinite(verdict.score):
            return f"the score is {verdict.score}"
        if (verdict.map is not None) != payload.wants_map:
            return (
                "a map was asked for and is missing" if payload.wants_map else "a map came back that nobody asked for"
            )
        if verdict.map is None:
            return None
        if verdict.map.shape != payload.image.shape[-2:]:
            return f"the map is {verdict.map.shape}, the image {payload.image.shape[-2:]}"
        return None if np.isfinite(verdict.map).all() else "the map is not finite"

    def diagnose(self, error: Exception) -> FaultKind:
        text = str(error)
        if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(part in text for part in OUT_OF_MEMORY):
            return "memory"
        if self.device.type != "cpu" and isinstance(error, RuntimeError) and any(part in text for part in DEVICE_LOST):
            return "lost"
        return "images"

    def relieve(self) -> None:
        self.give_back()
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def give_back(self) -> None:
        """Give back memory of the process that backends keep between steps. From any thread."""
        self._pool.give_back()

    def memory_bytes(self) -> int:
        """Memory that this process holds on the device; on the CPU its resident memory. From any thread."""
        if self.device.type == "cuda":
            return int(torch.cuda.memory_reserved(self.device))
        return int(psutil.Process().memory_info().rss)

    def prepare(self, artifact: Artifact) -> None:
        """Build the artifact's source if it is new here. From any thread, as weights may have to be fetched first."""
        self._pool.require(artifact.source, artifact.workload)

    def backends(self) -> dict[str, str]:
        """Each source in use with the backend that runs it and why; from any thread."""
        return self._pool.chosen()

    def verify(self, artifact: Artifact) -> str:
        """Which golden images were judged, in words.

        Raises ArtifactError where they score otherwise here than where the artifact was made.
        """
        self.prepare(artifact)
        placed = dataclasses.replace(artifact, head=self._place(artifact.head))
        if self._golden_checks is None:
            placed.verify_golden(self._detector)
            return all_checked(placed)
        return self._golden_checks.check(placed, self._detector, self._conditions(artifact))

    def step_seconds(self, artifact: Artifact, images: int) -> float:
        """Seconds of a step over `images` of this artifact's: as an earlier start has measured them, else by `warm`.

        Where they are known, an image for each thread is run: a batch goes other ways than a single image, and each
        must have been gone before a request comes. No image of a batch takes longer than one of these, so what was
        measured in a busy moment is corrected: it would have requests refused for seconds at each start.
        """
        threads = self._pool.threads
        if self._step_times is None or images <= threads:
            return self.warm(artifact, images)
        work = f"{artifact.manifest.method} on {images} images of {artifact.preprocessing.image_size} px"
        conditions = f"{work}; {self._conditions(artifact)}"
        known = self._step_times.find(conditions)
        if known is None:
            seconds = self.warm(artifact, images)
        else:
            few = min(self.warm(artifact, threads) for _ in range(2))  # the first run finds nothing in the caches
            seconds = min(known.seconds, few * images / threads)
        if known is None or seconds < known.seconds:
            self._step_times.keep(conditions, StepTime(seconds=seconds))
        return seconds

    def warm(self, artifact: Artifact, images: int) -> float:
        """One step over `images` grey images, half of them with a map (at least one); returns its seconds."""
        size = artifact.preprocessing.image_size
        grey = np.full((3, size, size), 0.5, np.float32)
        heads = heads_of(artifact.head)
        rows = [
            Row(grey, heads[number % len(heads)], artifact.source, wants_map=number % 2 == 0)
            for number in range(images)
        ]
        started = time.perf_counter()
        for row, judgement in zip(rows, self.step(rows), strict=True):
            if (wrong := self.complaint(row, judgement)) is not None:
                raise RuntimeError(f"warm-up with {images} images of {size} pixels: {wrong}")
        return time.perf_counter() - started

    def _conditions(self, artifact: Artifact) -> str:
        backend = self._pool[artifact.source].name
        return score_conditions(artifact.source, backend, self.device, self._pool.threads, half=self._pool.half)

    def _place(self, head: Head) -> Head:
        if self.device.type == "cpu":
            return head
        if isinstance(head, GroupedHead):
            return head.placed(self._place)
        placed = self._placed.get(head)
        if placed is None:
            placed = self._placed[head] = to_device(copy.deepcopy(head), self.device)
        return placed


def device_runners(
    devices: Iterable[str],
    *,
    engine: BackendName = "auto",
    threads: int | None = None,
    half: bool = False,
    weights_file: Path | None = None,
    kept: Path | None = None,
) -> dict[str, Callable[[], DeviceRunner]]:
    """For each device, by name, the call that takes it into use. Nothing is touched before the call.

    The arguments are those of models.backends.pool.SourcePool and, `kept`, of DeviceRunner; `threads` are of the source
    pass on the CPU.
    """

    def taking(name: str) -> Callable[[], DeviceRunner]:
        def take() -> DeviceRunner:
            device = torch.device(name)
            if device.type == "cuda":
                torch.cuda.set_device(device)  # the current device is a property of the thread
            pool = SourcePool(device, backend=engine, threads=threads, half=half, weights_file=weights_file)
            return DeviceRunner(device, pool, kept)

        return take

    return {name: taking(name) for name in devices}
