"""The trainer's command line: `python -m trainer fit ...`, `python -m trainer evaluate ...` (also `mkd-train`)."""

from __future__ import annotations

import argparse
import math
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import torch
from pydantic import ValidationError

from models.artifact import NAME_PATTERN, SUMS, ArtifactError
from models.engines.pool import ENGINE_NAMES
from models.heads.mkd import Attribution
from models.heads.mkd_trainee import Balance, Loss
from models.source import SOURCES, TAPS
from models.source_weights import SourceWeightsError
from trainer.activations import DEFAULT_LIMIT_BYTES, ActivationError
from trainer.config import RECIPES, Augmentation, TrainingSettings
from trainer.data import DataError
from trainer.display import RichDisplay
from trainer.evaluate import evaluate
from trainer.fit import FitDiverged
from trainer.run import Job, train
from trainer.study.plan import read_plan
from trainer.study.study import StudyJob, run_study

INTERRUPTED = 130
_DEFAULTS = TrainingSettings()


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(prog="mkd-train", description="Train and evaluate mkdserve artifacts.")
    commands = top.add_subparsers(dest="command", required=True)
    _add_fit(commands.add_parser("fit", help="a folder of good images in, an artifact out"))
    _add_evaluate(commands.add_parser("evaluate", help="an artifact and a labelled set in, a report out"))
    _add_study(commands.add_parser("study", help="a grid of data sets, variants and seeds in, one table out"))
    return top


def _add_fit(fit: argparse.ArgumentParser) -> None:
    fit.add_argument("data", type=Path, help="folder of good images, or MVTec layout (train/good)")
    fit.add_argument("--product", required=True, help="name of the product")
    fit.add_argument("--out", type=Path, default=Path("artifacts"), help="folder of artifacts [artifacts]")
    fit.add_argument("--version", default="", help="write OUT/PRODUCT/VERSION, to keep several side by side")
    fit.add_argument("--replace", action="store_true", help="replace an artifact that is there")
    _add_device(fit)
    run = fit.add_argument_group("training")
    run.add_argument("--steps", type=int, help=f"[{_DEFAULTS.steps}]")
    run.add_argument("--batch-size", type=int, help=f"[{_DEFAULTS.batch_size}]")
    run.add_argument("--lr", type=float, dest="learning_rate", help=f"Adam's learning rate [{_DEFAULTS.learning_rate}]")
    run.add_argument("--schedule", choices=("cosine", "constant"), help=f"[{_DEFAULTS.schedule}]")
    run.add_argument("--average-decay", type=float, help=f"weight averaging, 0 for none [{_DEFAULTS.average_decay}]")
    run.add_argument("--image-size", type=int, help=f"multiple of 32 [{_DEFAULTS.image_size}]")
    run.add_argument("--seed", type=int, help=f"[{_DEFAULTS.seed}]")
    run.add_argument("--hold-out", type=float, help=f"share kept for calibration [{_DEFAULTS.hold_out}]")
    run.add_argument("--review-rate", type=float, help=f"false-reject rate of REVIEW [{_DEFAULTS.review_rate}]")
    run.add_argument("--ng-rate", type=float, help=f"false-reject rate of NG [{_DEFAULTS.ng_rate}]")
    run.add_argument("--map-rate", type=float, help=f"share of good images with a lit region [{_DEFAULTS.map_rate}]")
    run.add_argument("--cache-limit-gib", type=float, default=DEFAULT_LIMIT_BYTES / 2**30, help="activation cache [8]")
    augment = fit.add_argument_group("augmentation (off by default)")
    augment.add_argument("--augment-copies", type=int, default=1, help="variants of each image [1]")
    augment.add_argument("--augment-rotation", type=float, default=0.0, help="degrees to either side")
    augment.add_argument("--augment-scale", type=float, nargs=2, metavar=("LOW", "HIGH"), default=(1.0, 1.0))
    method = fit.add_argument_group("method")
    method.add_argument("--recipe", choices=tuple(RECIPES), default="default", help="method settings [default]")
    method.add_argument("--source", choices=tuple(SOURCES), help=f"[{_DEFAULTS.source}]")
    method.add_argument("--normalisation", choices=("source", "unit"), help="of the source's input")
    method.add_argument("--cloner", choices=("small", "equal"))
    method.add_argument("--batchnorm", action=argparse.BooleanOptionalAction, default=None)
    for name in ("taps", "score-taps", "map-taps"):
        method.add_argument(f"--{name}", nargs="+", choices=TAPS)
    for name in ("loss", "score-loss", "map-loss"):
        method.add_argument(f"--{name}", choices=get_args(Loss))
    method.add_argument("--lambda", dest="lambda_dir", type=_lambda, help='"auto" or a number')
    for name in ("score-balance", "map-balance"):
        method.add_argument(f"--{name}", choices=get_args(Balance))
    method.add_argument("--score-power", type=float, help="power mean of the location errors in the score; 1 is a mean")
    for name, words in (
        ("relative", "divide errors by the picture's contrast"),
        ("levels", "and by what is usual there"),
    ):
        method.add_argument(f"--score-{name}", action=argparse.BooleanOptionalAction, default=None, help=words)
    method.add_argument("--map-power", type=float, help="power of the location errors in the map; 1 is the paper's")
    method.add_argument("--attribution", choices=get_args(Attribution))
    method.add_argument("--gaussian", action=argparse.BooleanOptionalAction, default=None)


def _add_evaluate(command: argparse.ArgumentParser) -> None:
    command.add_argument("artifact", type=Path, help="artifact folder")
    command.add_argument("data", type=Path, help="labelled set in the MVTec layout (test/good, test/<defect>)")
    command.add_argument("--out", type=Path, help="folder of the report [reports/<product>]")
    _add_device(command)


def _add_study(command: argparse.ArgumentParser) -> None:
    command.add_argument("plan", type=Path, help="STUDY.toml: data sets, variants, baselines and seeds")
    command.add_argument("--out", type=Path, required=True, help="folder of results, table and plots; a rerun goes on")
    command.add_argument("--cache-limit-gib", type=float, default=DEFAULT_LIMIT_BYTES / 2**30, help="[8]")
    _add_device(command)


def _add_device(command: argparse.ArgumentParser) -> None:
    machine = command.add_argument_group("machine")
    machine.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... [auto]")
    machine.add_argument("--threads", type=_positive, help="CPU threads [all]")
    machine.add_argument("--engine", choices=ENGINE_NAMES, default="auto", help="what runs the source [auto]")
    machine.add_argument("--source-weights", type=Path, help="file of source weights (.safetensors or .pth)")


def _lambda(text: str) -> float | str:
    if text == "auto":
        return text
    value = float(text)
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"lambda is auto or a number from 0 up, not {text}")
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"at least 1 is needed, not {text}")
    return value


def settings_of(arguments: argparse.Namespace) -> TrainingSettings:
    """The settings that the arguments ask for: what is not given is the recipe's or the default."""
    given = {key: value for key, value in vars(arguments).items() if value is not None}
    recipe = RECIPES[arguments.recipe]
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


def _fit(arguments: argparse.Namespace, display: RichDisplay) -> None:
    for word, text in (("product", arguments.product), ("version", arguments.version or "v")):
        if not NAME_PATTERN.fullmatch(text):
            raise ValueError(f"the {word} {text!r} must match {NAME_PATTERN.pattern}")
    job = Job(
        data=arguments.data,
        product=arguments.product,
        out=arguments.out,
        version=arguments.version,
        settings=settings_of(arguments),
        device=_device(arguments.device),
        engine=arguments.engine,
        threads=arguments.threads,
        weights_file=arguments.source_weights,
        cache_limit_bytes=int(arguments.cache_limit_gib * 2**30),
    )
    _check_place(job, replace=arguments.replace)
    train(job, display)


def _check_place(job: Job, *, replace: bool) -> None:
    """A product is one plain artifact or a folder of versions; a run never turns one into the other."""
    product = job.out / job.product
    if job.version and (product / SUMS).exists():
        raise ValueError(
            f"{product} is a plain artifact: move it to {product}/VERSION before adding versions beside it"
        )
    if not job.version and product.is_dir() and not (product / SUMS).exists():
        raise ValueError(f"{product} holds versions: give --version to add one")
    if job.path.exists() and not replace:
        other = "--version" if job.version else "--product"
        raise ValueError(f"{job.path} is there already: give --replace, or another {other}")


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
