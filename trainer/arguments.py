"""The trainer's words on the command line: what each command takes, and what a flag may hold."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import get_args

from pydantic import ValidationError

from models.backends.pool import BACKEND_NAMES
from models.heads.mkd.config import Attribution
from models.heads.mkd.fit import Balance, Loss, StepPrecision
from models.heads.parts.whitening import View
from models.sources.registry import SOURCES, Precision
from models.sources.vgg16 import TAPS
from trainer.activations import DEFAULT_LIMIT_BYTES
from trainer.config import RECIPES, TrainingSettings
from trainer.perturb import CHANGES

UNDER = "let the promise hold under these small changes, too: costs a source pass for each [none]"
_DEFAULTS = TrainingSettings()


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(prog="mkd-train", description="Train and evaluate mkdserve artifacts.")
    commands = top.add_subparsers(dest="command", required=True)
    fit = commands.add_parser("fit", help="a folder of good images in, an artifact out")
    fit.add_argument("data", type=Path, help="folder of good images, or MVTec layout (train/good)")
    fit.add_argument("--product", required=True, help="name of the product")
    _add_fit(fit)
    many = commands.add_parser("many", help="a subfolder of good images for each product in, an artifact for each out")
    _add_many(many)
    _add_fit(many)
    _add_evaluate(commands.add_parser("evaluate", help="an artifact and a labelled set in, a report out"))
    _add_recalibrate(commands.add_parser("recalibrate", help="an artifact and new good images in, a new version out"))
    _add_robustness(
        commands.add_parser("robustness", help="an artifact and a labelled set in, rates under changes out")
    )
    _add_study(commands.add_parser("study", help="a grid of data sets, variants and seeds in, one table out"))
    return top


def _add_fit(fit: argparse.ArgumentParser) -> None:
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
    words = "of the cloner's training steps [bfloat16 where the processor has AMX]"
    run.add_argument("--step-precision", choices=get_args(StepPrecision), help=words)
    run.add_argument("--image-size", type=int, help=f"multiple of 32 [{_DEFAULTS.image_size}]")
    run.add_argument("--seed", type=int, help=f"[{_DEFAULTS.seed}]")
    run.add_argument("--hold-out", type=float, help=f"share kept for calibration [{_DEFAULTS.hold_out}]")
    run.add_argument("--review-rate", type=float, help=f"false-reject rate of REVIEW [{_DEFAULTS.review_rate}]")
    run.add_argument("--ng-rate", type=float, help=f"false-reject rate of NG [{_DEFAULTS.ng_rate}]")
    run.add_argument("--map-rate", type=float, help=f"share of good images with a lit region [{_DEFAULTS.map_rate}]")
    run.add_argument("--calibrate-under", nargs="+", choices=CHANGES, help=UNDER)
    run.add_argument(
        "--tail-fit",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="fit a tail for rates that cannot be promised [where the held-out images are too few for --ng-rate]",
    )
    run.add_argument("--cache-limit-gib", type=float, default=DEFAULT_LIMIT_BYTES / 2**30, help="activation cache [8]")
    augment = fit.add_argument_group("augmentation (off by default)")
    augment.add_argument("--augment-copies", type=int, default=1, help="variants of each image [1]")
    augment.add_argument("--augment-rotation", type=float, default=0.0, help="degrees to either side")
    augment.add_argument("--augment-scale", type=float, nargs=2, metavar=("LOW", "HIGH"), default=(1.0, 1.0))
    method = fit.add_argument_group("method")
    method.add_argument("--recipe", choices=tuple(RECIPES), default="default", help="method settings [default]")
    method.add_argument("--source", choices=tuple(SOURCES), help=f"[{_DEFAULTS.source}]")
    method.add_argument("--normalisation", choices=("source", "unit"), help="of the source's input")
    words = "of the source network's arithmetic, in training and in service [float32]; see docs/train.md"
    method.add_argument("--source-precision", choices=get_args(Precision), help=words)
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
    for name in ("score-views", "map-views"):
        words = "distances instead of plain errors: tap and window in per cent of the side, pool4:25; or none"
        method.add_argument(f"--{name}", nargs="+", type=_view, metavar="TAP:WINDOW", help=words)
    words = "logarithms of the map's distances: tighter regions"
    method.add_argument("--map-log", action=argparse.BooleanOptionalAction, default=None, help=words)
    method.add_argument("--map-power", type=float, help="power of the location errors in the map; 1 is the paper's")
    method.add_argument("--attribution", choices=get_args(Attribution))
    method.add_argument("--gaussian", action=argparse.BooleanOptionalAction, default=None)


def _add_many(command: argparse.ArgumentParser) -> None:
    command.add_argument("folder", type=Path, help="folder with a subfolder, named as the product, for each")
    command.add_argument("--at-once", type=_positive, default=1, help="trainings at a time on this machine [1]")
    command.add_argument("--ray", nargs="?", const="auto", metavar="ADDRESS", help="train on a Ray cluster instead")
    command.add_argument("--ray-cpus", type=float, default=1.0, help="cores of each training there [1]")
    command.add_argument("--ray-gpus", type=float, default=0.0, help="GPUs of each training there, as 0.5 or 1 [0]")


def _add_evaluate(command: argparse.ArgumentParser) -> None:
    command.add_argument("artifact", type=Path, help="artifact folder")
    command.add_argument("data", type=Path, help="labelled set in the MVTec layout (test/good, test/<defect>)")
    command.add_argument("--out", type=Path, help="folder of the report [reports/<product>]")
    _add_device(command)


def _add_recalibrate(command: argparse.ArgumentParser) -> None:
    command.add_argument("artifact", type=Path, help="artifact folder; it is left as it is")
    command.add_argument("data", type=Path, help="folder of new good images that it was not trained on")
    command.add_argument("--out", type=Path, default=Path("artifacts"), help="folder of artifacts [artifacts]")
    command.add_argument("--version", default="", help="write OUT/PRODUCT/VERSION, to keep several side by side")
    command.add_argument("--replace", action="store_true", help="replace an artifact that is there")
    command.add_argument("--accept-shift", action="store_true", help="even if the old calibration rejects most of them")
    for name in ("review", "ng", "map"):
        command.add_argument(f"--{name}-rate", type=_rate, help="[the artifact's]")
    command.add_argument("--calibrate-under", nargs="+", choices=CHANGES, default=(), help=UNDER)
    command.add_argument("--tail-fit", action="store_true", help="fit a tail even if there are enough images")
    _add_device(command)


def _add_robustness(command: argparse.ArgumentParser) -> None:
    command.add_argument("artifact", type=Path, help="artifact folder")
    command.add_argument("data", type=Path, help="labelled set in the MVTec layout")
    command.add_argument("--out", type=Path, help="folder of robustness.md and .json [reports/<product>]")
    words = "also by thresholds of the held-out images changed so; DATA must be what it was trained on"
    command.add_argument("--calibrate-under", nargs="+", choices=CHANGES, default=(), help=words)
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
    machine.add_argument("--engine", choices=BACKEND_NAMES, default="auto", help="what runs the source [auto]")
    machine.add_argument("--source-weights", type=Path, help="file of source weights (.safetensors or .pth)")


def _view(text: str) -> View | None:
    if text == "none":
        return None
    tap, _, window = text.partition(":")
    try:
        return View.model_validate({"tap": tap, "window": window})
    except ValidationError as error:
        raise argparse.ArgumentTypeError(f"a view is TAP:WINDOW, 0 to 100, like pool4:25, not {text}") from error


def _lambda(text: str) -> float | str:
    if text == "auto":
        return text
    value = float(text)
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"lambda is auto or a number from 0 up, not {text}")
    return value


def _rate(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"a rate lies between 0 and 1, not at {text}")
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"at least 1 is needed, not {text}")
    return value
