"""A folder with a subfolder of good images for each product in; an artifact for each out, several at a time.

One product that cannot be trained is told and leaves the others alone. Runs in processes of this machine, or as tasks
of a Ray cluster (the one place of the trainer that knows Ray, and only when it is asked for).
"""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from models.artifact import ArtifactError
from models.heads.base import FitDiverged
from models.names import is_name
from models.sources.weights import SourceWeightsError
from trainer.activations import ActivationError
from trainer.data import DataError
from trainer.fit_run import Display
from trainer.quiet import QuietDisplay
from trainer.run import TrainingJob, train

# What a single run tells in words; anything else is a fault of ours, and its kind is told, too.
CLEAR = (DataError, SourceWeightsError, ActivationError, ArtifactError, FitDiverged, ValueError, OSError)


@dataclass(frozen=True)
class TrainingOutcome:
    """What became of one product: the artifact's SHA-256, or the reason why there is none."""

    product: str
    seconds: float
    sha256: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster, and what each training takes of it."""

    address: str
    cpus: float = 1.0
    gpus: float = 0.0


def product_folders(folder: Path) -> list[Path]:
    """The subfolders by name. Raises DataError where there is none, or one cannot be a product's name."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder")
    found = sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
    wrong = [path.name for path in found if not is_name(path.name)]
    if not found or wrong:
        what = f"{', '.join(wrong)} cannot be names" if wrong else "there is none"
        raise DataError(f"{folder}: a subfolder for each product is expected, named as it; {what}")
    return found


def train_all(
    jobs: Sequence[TrainingJob], display: Display, *, at_once: int = 1, cluster: Cluster | None = None
) -> bool:
    """Trains all; whether every one succeeded."""
    good = True
    with display.bar("products", len(jobs)) as bar:
        outcomes = _here(jobs, at_once) if cluster is None else _on_ray(jobs, cluster)
        for number, outcome in enumerate(outcomes, 1):
            good = good and outcome.error is None
            what = f"failed: {outcome.error}" if outcome.error else f"{(outcome.sha256 or '')[:12]}"
            display.say(f"{outcome.product}: {what}, {outcome.seconds:.0f} s")
            bar.update(number)
    return good


def attempt(job: TrainingJob) -> TrainingOutcome:
    """One training in a process of its own; every failure is an outcome."""
    started = time.monotonic()
    torch.set_num_threads(job.threads or 1)
    try:
        made = train(job, QuietDisplay())
    except CLEAR as error:
        return TrainingOutcome(job.product, time.monotonic() - started, error=str(error))
    except Exception as error:
        return TrainingOutcome(job.product, time.monotonic() - started, error=f"{type(error).__name__}: {error}")
    return TrainingOutcome(job.product, time.monotonic() - started, sha256=made.sha256)


def _here(jobs: Sequence[TrainingJob], at_once: int) -> Iterator[TrainingOutcome]:
    with ProcessPoolExecutor(at_once, multiprocessing.get_context("spawn")) as pool:
        waiting = {pool.submit(attempt, job): job for job in jobs}
        for done in as_completed(waiting):
            error = done.exception()
            yield done.result() if error is None else _lost(waiting[done], error)


def _on_ray(jobs: Sequence[TrainingJob], cluster: Cluster) -> Iterator[TrainingOutcome]:
    """A training whose node dies begins again elsewhere, from its last checkpoint where OUT is a shared folder."""
    try:
        import ray
    except ModuleNotFoundError as error:
        raise DataError("--ray: Ray is missing: pip install 'mkdserve[ray]'") from error
    device = torch.device("cuda" if cluster.gpus else "cpu")
    ray.init(address=cluster.address, logging_level=logging.WARNING, log_to_driver=False)
    try:
        task = ray.remote(num_cpus=cluster.cpus, num_gpus=cluster.gpus, max_retries=3)(attempt)
        threads = max(1, int(cluster.cpus))
        waiting = {task.remote(replace(job, device=device, threads=threads)): job for job in jobs}
        while waiting:
            (done, *_), _ = ray.wait(list(waiting))
            job = waiting.pop(done)
            try:
                yield ray.get(done)
            except ray.exceptions.RayError as error:
                yield _lost(job, error)
    finally:
        ray.shutdown()


def _lost(job: TrainingJob, error: BaseException) -> TrainingOutcome:
    return TrainingOutcome(job.product, 0.0, error=f"its process was lost: {type(error).__name__}")
