"""The arguments of `mkd-train`: what each command takes, and what a flag may hold.

Settings of one method are no flags: they are given by `--set NAME=VALUE`, or in the table [method] of a TOML file.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from models.backends.choice import BACKEND_NAMES
from models.heads.registry import DEFAULT_METHOD
from models.imaging.preprocess import Resize
from models.sources.registry import SOURCES, Precision
from trainer.activations import DEFAULT_LIMIT_BYTES
from trainer.advise.candidates import SIZES
from trainer.cli.settings import AUTO, TILES_METHOD
from trainer.cli.trainer_parser import TrainerParser
from trainer.config import CalibrateBy, TileHeads, TrainingSettings
from trainer.evaluate import PAINTED_DEFECTS
from trainer.perturb import CHANGES
from trainer.same_part import Same

UNDER = "let the promise hold under these small changes, too: costs a source pass for each [none]"
_DEFAULTS = TrainingSettings()


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = TrainerParser(prog="mkd-train", description="Train and evaluate mkdserve artifacts.")
    top.add_version()
    commands = top.add_subparsers(dest="command", required=True)
    fit = commands.add_parser("fit", help="make an artifact from a folder of good images")
    fit.add_argument("data", type=Path, help="folder of good images, or MVTec layout (train/good)")
    fit.add_argument("--product", required=True, help="name of the product")
    fit.add_argument("--no-forecast", action="store_true", help="begin at once, without the trial of some seconds")
    _add_fit(fit)
    many = commands.add_parser("many", help="make an artifact from each subfolder of good images")
    _add_many(many)
    _add_fit(many)
    _add_adopt(commands.add_parser("adopt", help="make a plain artifact the first version of its product"))
    methods = commands.add_parser("methods", help="list the methods: settings, defaults, when to take each")
    methods.add_argument("name", nargs="?", help="one method only")
    _add_advise(commands.add_parser("advise", help="try methods and sizes on painted defects before training any"))
    _add_evaluate(commands.add_parser("evaluate", help="report on an artifact over a labelled set"))
    _add_compare(commands.add_parser("compare", help="say which verdicts differ between two artifacts"))
    _add_recalibrate(commands.add_parser("recalibrate", help="make a new version of an artifact from new good images"))
    _add_mask(commands.add_parser("mask", help="make a new version of an artifact that looks at other places"))
    _add_preview(commands.add_parser("preview", help="draw what the network would see of a picture"))
    _add_robustness(commands.add_parser("robustness", help="measure an artifact's rates under small changes"))
    _add_study(commands.add_parser("study", help="run a grid of data sets, methods and seeds into one table"))
    return top


def _add_fit(fit: argparse.ArgumentParser) -> None:
    fit.add_argument("--out", type=Path, default=Path("artifacts"), help="folder of artifacts [artifacts]")
    fit.add_argument("--version", default="", help="name of the version, written as OUT/PRODUCT/VERSION [the time]")
    fit.add_argument("--replace", action="store_true", help="replace the version that is there")
    fit.add_argument("--subfolders", action="store_true", help="take the images of subfolders for good parts, too")
    fit.add_argument(
        "--accept-degenerate", action="store_true", help="write an artifact even if the images teach nothing"
    )
    method = fit.add_argument_group("method (`mkd-train methods` lists them with their settings)")
    method.add_argument("--config", type=Path, metavar="FILE", help="settings in TOML; flags come over it")
    method.add_argument(
        "--method",
        metavar="NAME",
        help=f"or auto: chosen on painted defects [{DEFAULT_METHOD}; {TILES_METHOD} of tiles]",
    )
    _add_budget(method)
    method.add_argument(
        "--set",
        dest="set_values",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the method; may be given again",
    )
    _add_device(fit)
    source = fit.add_argument_group("source network")
    source.add_argument(
        "--source", help=f"one of {', '.join(SOURCES)}, or with --method auto: auto [{_DEFAULTS.source}]"
    )
    source.add_argument("--normalisation", choices=("source", "unit"), help="of the source's input [source]")
    words = "of the source network's arithmetic, in training and in service [float32]; see docs/train.md"
    source.add_argument("--source-precision", choices=get_args(Precision), help=words)
    _add_size(source)
    _add_view(source)
    words = "one head for all tiles, one for each, or what tells painted defects better"
    source.add_argument("--tile-heads", choices=get_args(TileHeads), help=f"{words} [{_DEFAULTS.tile_heads}]")
    _add_regions(source)
    source.add_argument(
        "--white-level",
        type=int,
        choices=(1023, 4095, 16383, 65535),
        help="value of white in 16-bit images [the smallest that holds the training images]",
    )
    _add_channels(source)
    source.add_argument(
        "--cache-limit-gib", type=float, default=DEFAULT_LIMIT_BYTES / 2**30, help="activation cache [8]"
    )
    run = fit.add_argument_group("calibration")
    run.add_argument("--seed", type=int, help=f"[{_DEFAULTS.seed}]")
    run.add_argument(
        "--hold-out", type=float, help=f"share kept for calibration, unless by folds [{_DEFAULTS.hold_out}]"
    )
    run.add_argument(
        "--split",
        choices=("groups", "random"),
        help="groups keeps near-duplicates on one side and counts them once [groups]",
    )
    words = f"good pictures kept from the fit, or all of them, by folds [{_DEFAULTS.calibrate_by}]; see docs/train.md"
    run.add_argument("--calibrate-by", choices=get_args(CalibrateBy), help=words)
    run.add_argument("--folds", type=int, help=f"of --calibrate-by folds [{_DEFAULTS.folds}]")
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
    augment = fit.add_argument_group("augmentation (off by default)")
    augment.add_argument("--augment-copies", type=int, help="variants of each image [1]")
    augment.add_argument("--augment-rotation", type=float, help="degrees to either side [0]")
    augment.add_argument("--augment-scale", type=float, nargs=2, metavar=("LOW", "HIGH"), help="[1 1]")
    words = "a good part that is mirrored or turned so is a good part, and is then never told from others"
    augment.add_argument("--augment-same", choices=get_args(Same), help=f"{words} [none]")


def _add_many(command: argparse.ArgumentParser) -> None:
    command.add_argument("folder", type=Path, help="folder with a subfolder, named as the product, for each")
    command.add_argument("--at-once", type=_positive, default=1, help="trainings at a time on this machine [1]")
    command.add_argument("--ray", nargs="?", const="auto", metavar="ADDRESS", help="train on a Ray cluster instead")
    command.add_argument("--ray-cpus", type=float, default=1.0, help="cores of each training there [1]")
    command.add_argument("--ray-gpus", type=float, default=0.0, help="GPUs of each training there, as 0.5 or 1 [0]")


def _add_adopt(command: argparse.ArgumentParser) -> None:
    command.add_argument("artifact", type=Path, help="folder of a plain artifact, as artifacts/screw")
    command.add_argument("--version", default="", help="name of the version [the artifact's own]")


def _add_advise(command: argparse.ArgumentParser) -> None:
    command.add_argument("data", type=Path, help="folder of good images, or MVTec layout (train/good)")
    _add_budget(command)
    command.add_argument("--sizes", type=int, nargs="+", help=f"image sizes to try [{' '.join(map(str, SIZES))}]")
    command.add_argument("--subfolders", action="store_true", help="take the images of subfolders for good parts, too")
    command.add_argument("--source", help=f"one of {', '.join(SOURCES)}, or auto: all [{_DEFAULTS.source}]")
    command.add_argument("--seed", type=int, help=f"[{_DEFAULTS.seed}]")
    command.add_argument("--hold-out", type=float, help=f"share left to the calibration [{_DEFAULTS.hold_out}]")
    command.add_argument("--cache-limit-gib", type=float, default=DEFAULT_LIMIT_BYTES / 2**30, help="[8]")
    _add_device(command)


def _add_budget(command: argparse._ActionsContainer) -> None:
    command.add_argument("--cycle-ms", type=float, metavar="MS", help="at most so long an image, here [none]")


def _add_evaluate(command: argparse.ArgumentParser) -> None:
    command.add_argument("artifact", type=Path, help="artifact, or a product (its active version)")
    command.add_argument("data", type=Path, help="labelled set in the MVTec layout (test/good, test/<defect>)")
    command.add_argument("--out", type=Path, help="folder of the report [reports/<product>]")
    command.add_argument("--json", action="store_true", help="print metrics.json on standard output, too")
    command.add_argument(
        "--painted-defects",
        type=int,
        default=PAINTED_DEFECTS,
        metavar="N",
        help=f"painted on good test pictures, to chart what would be seen; 0 for none [{PAINTED_DEFECTS}]",
    )
    _add_device(command)


def _add_compare(command: argparse.ArgumentParser) -> None:
    command.add_argument("first", type=Path, metavar="A", help="artifact, or a product (its active version)")
    command.add_argument("second", type=Path, metavar="B", help="another")
    command.add_argument("data", type=Path, help="labelled set in the MVTec layout")
    out = Path("reports/comparison")
    command.add_argument("--out", type=Path, default=out, help=f"folder of comparison.html and .json [{out}]")
    _add_device(command)


def _add_recalibrate(command: argparse.ArgumentParser) -> None:
    command.add_argument("artifact", type=Path, help="artifact, or a product (its active version); it is left as it is")
    command.add_argument("data", type=Path, help="folder of new good images that it was not trained on")
    command.add_argument("--out", type=Path, default=Path("artifacts"), help="folder of artifacts [artifacts]")
    command.add_argument("--version", default="", help="name of the version, written as OUT/PRODUCT/VERSION [the time]")
    command.add_argument("--replace", action="store_true", help="replace the version that is there")
    command.add_argument("--accept-shift", action="store_true", help="even if the old calibration rejects most of them")
    for name in ("review", "ng", "map"):
        command.add_argument(f"--{name}-rate", type=_rate, help="[the artifact's]")
    command.add_argument("--calibrate-under", nargs="+", choices=CHANGES, default=(), help=UNDER)
    command.add_argument("--tail-fit", action="store_true", help="fit a tail even if there are enough images")
    _add_device(command)


def _add_mask(command: argparse.ArgumentParser) -> None:
    command.add_argument("artifact", type=Path, help="artifact, or a product (its active version); it is left as it is")
    command.add_argument(
        "data", type=Path, help="folder of good images it was not trained on, or the one it was trained on (held out)"
    )
    _add_regions(command)
    command.add_argument("--whole", action="store_true", help="look at the whole picture again")
    command.add_argument("--out", type=Path, default=Path("artifacts"), help="folder of artifacts [artifacts]")
    command.add_argument("--version", default="", help="name of the version, written as OUT/PRODUCT/VERSION [the time]")
    command.add_argument("--replace", action="store_true", help="replace the version that is there")
    command.add_argument("--calibrate-under", nargs="+", choices=CHANGES, default=(), help=UNDER)
    _add_device(command)


def _add_preview(command: argparse.ArgumentParser) -> None:
    command.add_argument("picture", type=Path, help="an image of a good part, or its folder with a file for each light")
    _add_channels(command)
    command.add_argument("--out", type=Path, default=Path("preview.png"), help="file of the drawing [preview.png]")
    _add_size(command)
    _add_budget(command)
    _add_view(command)
    _add_regions(command)
    _add_device(command)


def _add_size(command: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    words = f"multiple of 32, or auto: view and size by --smallest-defect and --cycle-ms [{_DEFAULTS.image_size}]"
    command.add_argument("--image-size", type=_image_size, metavar="PIXELS", help=words)
    command.add_argument(
        "--smallest-defect", type=_defect, metavar="PIXELS", help="of the camera, across; with --image-size auto"
    )


def _add_view(command: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    command.add_argument(
        "--view", choices=get_args(Resize), help=f"what the network sees of a picture [{_DEFAULTS.view}]"
    )
    command.add_argument("--tile-side", type=int, help="of a tile, in pixels of the camera [the image size]")
    command.add_argument("--tile-overlap", type=int, help="of two tiles at least, in the same pixels [a quarter]")


def _add_channels(command: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    words = "groups of channels of a part in their order, as left,right or rgb:3,nir [found in the data]"
    command.add_argument("--channels", type=_names, metavar="NAMES", help=words)


def _add_regions(command: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    words = "a mask (white), or polygons in JSON"
    command.add_argument("--roi", type=Path, metavar="FILE", help=f"what alone is looked at: {words}")
    command.add_argument("--ignore", type=Path, metavar="FILE", help=f"what is not looked at: {words}")


def _add_robustness(command: argparse.ArgumentParser) -> None:
    command.add_argument("artifact", type=Path, help="artifact, or a product (its active version)")
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
    machine.add_argument("--backend", choices=BACKEND_NAMES, default="auto", help="what runs the source [auto]")
    machine.add_argument("--source-weights", type=Path, help="file of source weights (.safetensors or .pth)")


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _rate(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"a rate lies between 0 and 1, not at {text}")
    return value


def _image_size(text: str) -> int | str:
    return text if text == AUTO else int(text)


def _defect(text: str) -> float:
    value = float(text)
    if not 1 <= value <= 10_000:
        raise argparse.ArgumentTypeError(f"1 to 10,000 pixels of the camera, not {text}")
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"at least 1 is needed, not {text}")
    return value
