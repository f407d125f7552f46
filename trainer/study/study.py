"""Runs a study's plan: every run's result, one table and its plots. A rerun does only what is missing."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch

from models import atomic_file
from models.backends.base import SourceKey
from models.backends.choice import BackendName
from models.backends.pool import SourcePool, source_key
from models.heads.base import FitDiverged
from models.imaging.channels import group_words
from trainer.activations import DEFAULT_LIMIT_BYTES
from trainer.data import DataError
from trainer.fit_run import Display
from trainer.labelled import LabelledImage, read_labelled_set
from trainer.run import PACKAGES
from trainer.study.pictures import write_pictures
from trainer.study.plan import StudyPlan
from trainer.study.results import Result, Results
from trainer.study.runs import Run, Runner, code_mark
from trainer.study.sets import StudySet, study_sets
from trainer.study.stores import Stores
from trainer.study.summary import summary
from trainer.study.table import markdown
from trainer.study.trainings import Trainings
from trainer.training_set import TrainingSet, read_training_set


@dataclass(frozen=True)
class StudyJob:
    """A plan, where its results go, and on what it runs."""

    plan: StudyPlan
    out: Path
    device: torch.device
    backend: BackendName = "auto"
    threads: int | None = None
    weights_file: Path | None = None
    cache_limit_bytes: int = DEFAULT_LIMIT_BYTES

    @property
    def work(self) -> Path:
        """Caches and checkpoints, gone when all is done; apart for each process, so that they do not meet."""
        return self.out / ".work"


@dataclass(frozen=True)
class StudyOutcome:
    """Where the table is, and what could not be run, in words."""

    table: Path
    missing: tuple[str, ...]


@dataclass(frozen=True)
class _OpenedSet:
    """One data set, read once."""

    data: StudySet
    good: TrainingSet
    labelled: list[LabelledImage]
    sha256: str


def run_study(job: StudyJob, display: Display) -> StudyOutcome:
    """Runs what has no result yet, then writes table.md, table.json and the plots anew. May be run by several at once.

    Raises SourceWeightsError, ActivationError or OSError. A data set that is not there and a run that diverged are
    told in the outcome and in the table. KeyboardInterrupt leaves what is done, and a checkpoint.
    """
    results = Results(job.out / "runs")
    pool = SourcePool(job.device, backend=job.backend, threads=job.threads, weights_file=job.weights_file)
    found: list[Result] = []
    missing: list[str] = []
    done = 0
    with Stores(pool, job.work / str(os.getpid()), job.cache_limit_bytes, display) as stores:
        trainings = Trainings(job.out / "trained", job.work, job.device, display)
        runner = Runner(stores, trainings, job.plan.checkpoints)
        for opened in _opened_sets(job, display, missing):
            for run in _runs(job.plan, opened.data):
                given = run.settings
                source = source_key(given.source, given.normalisation, job.weights_file, given.source_precision)
                fingerprint = run.fingerprint(opened.sha256, source, job.plan.checkpoints)
                result = results.read(fingerprint)
                if result is None:
                    with results.taken(fingerprint) as mine:
                        if mine:
                            result = results.read(fingerprint) or _run_one(run, opened, stores, runner, source, display)
                            results.write(fingerprint, result)
                            done += 1
                if result is None:
                    missing.append(f"{run.title}: another process is at it")
                else:
                    found.append(
                        {**result, "data": opened.data.name, "group": opened.data.group, "variant": run.variant}
                    )
    with contextlib.suppress(OSError):
        (job.work / str(os.getpid())).rmdir()
        job.work.rmdir()
    display.say(f"{done} runs done now, {len(found) - done} were there, {len(missing)} missing")
    failed = [one for one in found if "failed" in one]
    missing += [f"{one['data']}, {one['variant']}, seed {one['seed']}: {one['failed']}" for one in failed]
    return StudyOutcome(_write(job, found, missing), tuple(missing))


def _opened_sets(job: StudyJob, display: Display, missing: list[str]) -> Iterator[_OpenedSet]:
    for plan in job.plan.data:
        try:
            for data in study_sets(plan, job.out / "data"):
                good, labelled = _good(data), read_labelled_set(data.path)
                marks = [good.sha256]
                for image in labelled:
                    files = [image.file] + ([image.mask_file] if image.mask_file else [])
                    marks += [image.defect, *(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)]
                yield _OpenedSet(data, good, labelled, hashlib.sha256(" ".join(marks).encode()).hexdigest())
        except DataError as error:
            display.say(f"left out: {plan.name}: {error}")
            missing.append(f"{plan.name}: {error}")


def _good(data: StudySet) -> TrainingSet:
    """The good pictures. Raises DataError, also for parts with groups of channels: a study's runs share activations."""
    found = read_training_set(data.path)
    if found.groups:
        raise DataError(
            f"its parts have groups of channels ({group_words(found.groups)}), which a study does not take: "
            "fit them by mkd-train fit, judge them by mkd-train evaluate"
        )
    return found


def _runs(plan: StudyPlan, data: StudySet) -> Iterator[Run]:
    """Ordered so that runs that share activations follow each other."""
    runs = [
        Run(data, name, plan.settings(data.plan, None, seed), control=True)
        for seed in plan.seeds
        for name in plan.controls
    ]
    runs += [
        Run(data, variant.name, plan.settings(data.plan, variant, seed), control=False)
        for seed in plan.seeds
        for variant in plan.variant
        if not variant.only or data.group in variant.only
    ]
    order = {key: place for place, key in enumerate(dict.fromkeys(_shares(run) for run in runs))}
    yield from sorted(runs, key=lambda run: order[_shares(run)])


def _shares(run: Run) -> tuple[object, ...]:
    settings = run.settings
    return settings.source, settings.normalisation, settings.source_precision, settings.image_size


def _run_one(
    run: Run,
    opened: _OpenedSet,
    stores: Stores,
    runner: Runner,
    source: SourceKey,
    display: Display,
) -> Result:
    display.say(run.title)
    result: Result = {
        "seed": run.seed,
        "control": run.control,
        "settings": run.settings.model_dump(mode="json"),
        "source_sha256": source.sha256,
        "data_sha256": opened.sha256,
        "code": code_mark(),
        "packages": {name: _version(name) for name in PACKAGES},
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
    }
    try:
        seen = stores.seen(opened.good, opened.labelled, source, run.settings)
        result["figures"] = runner.figures(run, seen, source, opened.sha256)
    except FitDiverged as error:
        display.say(f"{run.title}: {error}")
        return {**result, "failed": str(error)}
    figures = result["figures"]
    display.say(f"{run.title}: image {figures['image_auroc']:.3f}, pixel {figures['pixel_auroc'] or float('nan'):.3f}")
    return result


def _write(job: StudyJob, found: Sequence[Result], missing: Sequence[str]) -> Path:
    lines = summary(found)
    notes = [f"Not in the table: {text}." for text in missing]
    if {one["code"] for one in found} - {code_mark()}:
        notes.append("Beware: some results were made by other code than is here now.")
    plots = write_pictures(job.out, lines, found)
    table = job.out / "table.md"
    content = {"study": job.plan.name, "lines": [line.as_json() for line in lines]}
    atomic_file.write_text(job.out / "table.json", json.dumps(content, indent=1) + "\n")
    atomic_file.write_text(table, markdown(job.plan, lines, notes, plots))
    return table


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
