"""The trainer's command line: `python -m trainer fit ...`, `python -m trainer evaluate ...` (also `mkd-train`)."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import ValidationError

from models.artifact import NAME_PATTERN, SUMS, ArtifactError, load_artifact
from models.sources.weights import SourceWeightsError
from trainer.activations import ActivationError
from trainer.arguments import parser
from trainer.config import RECIPES, Augmentation, TrainingSettings
from trainer.data import DataError
from trainer.display import RichDisplay
from trainer.evaluate import evaluate
from trainer.loop import FitDiverged
from trainer.recalibrate import NewRates, Recalibration, recalibrate
from trainer.robustness import Robustness, measure_robustness
from trainer.run import Job, train
from trainer.study.plan import read_plan
from trainer.study.study import StudyJob, run_study
from trainer.train_all import Cluster, product_folders, train_all

INTERRUPTED = 130


def settings_of(arguments: argparse.Namespace) -> TrainingSettings:
    """The settings that the arguments ask for: what is not given is the recipe's or the default."""
    given = {key: value for key, value in vars(arguments).items() if value is not None}
    recipe = RECIPES[arguments.recipe]
    for name in ("score_views", "map_views"):
        if name in given:
            given[name] = tuple(view for view in given[name] if view is not None)
    chosen = {key: given[key] for key in type(recipe).model_fields if key in given}
    fields = {key: given[key] for key in TrainingSettings.model_fields if key in given and key != "recipe"}
    low, high = arguments.augment_scale
    return TrainingSettings(
        **fields,
        recipe_name=arguments.recipe,
        recipe=type(recipe).model_validate(recipe.model_dump() | chosen),
        augmentation=Augmentation(
            copies=arguments.augment_copies, rotation=arguments.augment_rotation, scale_low=low, scale_high=high
        ),
    )


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"{name!r} is no device; use auto, cpu, cuda, cuda:1 ...") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"{name}: there is no CUDA device here; use --device cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"{name}: there are {torch.cuda.device_count()} CUDA devices here, numbered from 0")
    return device


def _job(arguments: argparse.Namespace, data: Path, product: str) -> Job:
    _check_names(product, arguments.version)
    return Job(
        data=data,
        product=product,
        out=arguments.out.absolute() if arguments.command == "many" else arguments.out,  # others work elsewhere
        version=arguments.version,
        settings=settings_of(arguments),
        device=_device(arguments.device),
        engine=arguments.engine,
        threads=arguments.threads,
        weights_file=arguments.source_weights,
        cache_limit_bytes=int(arguments.cache_limit_gib * 2**30),
    )


def _fit(arguments: argparse.Namespace, display: RichDisplay) -> None:
    job = _job(arguments, arguments.data, arguments.product)
    _check_place(job.path, job.out / job.product, replace=arguments.replace)
    train(job, display)


def _many(arguments: argparse.Namespace, display: RichDisplay) -> int:
    jobs = [_job(arguments, folder.absolute(), folder.name) for folder in product_folders(arguments.folder)]
    missing = [job for job in jobs if arguments.replace or not job.path.exists()]
    if len(missing) < len(jobs):
        display.say(f"{len(jobs) - len(missing)} of {len(jobs)} are there already and left as they are")
    for job in missing:
        _check_place(job.path, job.out / job.product, replace=arguments.replace)
    cluster = Cluster(arguments.ray, arguments.ray_cpus, arguments.ray_gpus) if arguments.ray else None
    return 0 if train_all(missing, display, at_once=arguments.at_once, cluster=cluster) else 1


def _check_names(product: str, version: str) -> None:
    for word, text in (("product", product), ("version", version or "v")):
        if not NAME_PATTERN.fullmatch(text):
            raise ValueError(f"the {word} {text!r} must match {NAME_PATTERN.pattern}")


def _check_place(path: Path, product: Path, *, replace: bool) -> None:
    """A product is one plain artifact or a folder of versions; a run never turns one into the other."""
    version = path != product
    if version and (product / SUMS).exists():
        raise ValueError(
            f"{product} is a plain artifact: move it to {product}/VERSION before adding versions beside it"
        )
    if not version and product.is_dir() and not (product / SUMS).exists():
        raise ValueError(f"{product} holds versions: give --version to add one")
    if path.exists() and not replace:
        other = "--version" if version else "--product or --out"
        raise ValueError(f"{path} is there already: give --replace, or another {other}")


def _recalibrate(arguments: argparse.Namespace, display: RichDisplay) -> None:
    product = load_artifact(arguments.artifact).manifest.product
    _check_names(product, arguments.version)
    folder = arguments.out / product
    path = folder / arguments.version if arguments.version else folder
    _check_place(path, folder, replace=arguments.replace)
    given = arguments
    rates = NewRates(given.review_rate, given.ng_rate, given.map_rate, given.tail_fit, tuple(given.calibrate_under))
    job = Recalibration(
        artifact=arguments.artifact,
        data=arguments.data,
        path=path,
        version=arguments.version,
        rates=rates,
        accept_shift=arguments.accept_shift,
        device=_device(arguments.device),
        engine=arguments.engine,
        threads=arguments.threads,
        weights_file=arguments.source_weights,
    )
    recalibrate(job, display)


def _evaluate(arguments: argparse.Namespace, display: RichDisplay) -> None:
    report = evaluate(
        arguments.artifact,
        arguments.data,
        arguments.out,
        device=_device(arguments.device),
        engine=arguments.engine,
        threads=arguments.threads,
        weights_file=arguments.source_weights,
        display=display,
    )
    display.say(f"open {report}")


def _robustness(arguments: argparse.Namespace, display: RichDisplay) -> None:
    job = Robustness(
        artifact=arguments.artifact,
        data=arguments.data,
        out=arguments.out,
        calibrate_under=tuple(arguments.calibrate_under),
        device=_device(arguments.device),
        engine=arguments.engine,
        threads=arguments.threads,
        weights_file=arguments.source_weights,
    )
    display.say(f"read {measure_robustness(job, display)}")


def _study(arguments: argparse.Namespace, display: RichDisplay) -> int:
    job = StudyJob(
        plan=read_plan(arguments.plan),
        out=arguments.out,
        device=_device(arguments.device),
        engine=arguments.engine,
        threads=arguments.threads,
        weights_file=arguments.source_weights,
        cache_limit_bytes=int(arguments.cache_limit_gib * 2**30),
    )
    outcome = run_study(job, display)
    for text in outcome.missing:
        display.say(f"missing: {text}")
    display.say(f"read {outcome.table}")
    return 1 if outcome.missing else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; 0 when it is done, 1 with a sentence on standard error when it is not, 130 when interrupted."""
    arguments = parser().parse_args(argv)
    display = RichDisplay()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a stopped container leaves a checkpoint, as Ctrl-C does
    try:
        if arguments.command == "fit":
            _fit(arguments, display)
        elif arguments.command == "many":
            return _many(arguments, display)
        elif arguments.command == "recalibrate":
            _recalibrate(arguments, display)
        elif arguments.command == "robustness":
            _robustness(arguments, display)
        elif arguments.command == "study":
            return _study(arguments, display)
        else:
            _evaluate(arguments, display)
    except KeyboardInterrupt:
        display.say("interrupted; the same command goes on from the last checkpoint")
        return INTERRUPTED
    except ValidationError as error:
        for problem in error.errors():
            where = ".".join(str(part) for part in problem["loc"])
            display.say(f"error: {where}: {problem['msg']}" if where else f"error: {problem['msg']}")
        return 1
    except (DataError, SourceWeightsError, ActivationError, ArtifactError, FitDiverged, ValueError, OSError) as error:
        display.say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
