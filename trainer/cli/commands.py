"""What each command of `mkd-train` does with its arguments."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import torch

from models.artifact import SUMS, active_artifact, load_artifact
from models.names import NAME_PATTERN
from trainer.advise.advice import AdviceJob, advise
from trainer.advise.candidates import SIZES
from trainer.advise.chooser import Auto
from trainer.cli.method_list import method_lines
from trainer.cli.settings import settings_of, sizes_of, wants_auto
from trainer.compare import compare
from trainer.config import TrainingSettings
from trainer.display import RichDisplay
from trainer.evaluate import Machine, evaluate
from trainer.preview import draw_preview
from trainer.recalibrate import NewMask, NewRates, Recalibration, recalibrate
from trainer.regions_file import read_regions
from trainer.robustness import Robustness, measure_robustness
from trainer.run import TrainingJob, train
from trainer.study.plan import read_plan
from trainer.study.study import StudyJob, run_study
from trainer.train_all import Cluster, product_folders, train_all
from trainer.training_set import read_training_set


def fit(arguments: argparse.Namespace, display: RichDisplay) -> int:
    """One product."""
    job = _job(arguments, arguments.data, arguments.product)
    _check_place(job.path, job.out / job.product, replace=arguments.replace)
    train(job, display)
    return 0


def many(arguments: argparse.Namespace, display: RichDisplay) -> int:
    """Every subfolder that has no artifact yet; 1 where one of them failed."""
    jobs = [_job(arguments, folder.absolute(), folder.name) for folder in product_folders(arguments.folder)]
    missing = [job for job in jobs if arguments.replace or not job.path.exists()]
    if len(missing) < len(jobs):
        display.say(f"{len(jobs) - len(missing)} of {len(jobs)} are there already and left as they are")
    for job in missing:
        _check_place(job.path, job.out / job.product, replace=arguments.replace)
    cluster = Cluster(arguments.ray, arguments.ray_cpus, arguments.ray_gpus) if arguments.ray else None
    return 0 if train_all(missing, display, at_once=arguments.at_once, cluster=cluster) else 1


def methods(arguments: argparse.Namespace, display: RichDisplay) -> int:
    """The list of methods."""
    for line in method_lines(arguments.name):
        display.say(line)
    return 0


def run_advise(arguments: argparse.Namespace, display: RichDisplay) -> int:
    """The table of what was tried, and what would be taken."""
    given = {name: getattr(arguments, name) for name in ("source", "seed", "hold_out")}
    with tempfile.TemporaryDirectory() as work:
        job = AdviceJob(
            found=read_training_set(arguments.data, subfolders=arguments.subfolders),
            settings=TrainingSettings.model_validate({name: one for name, one in given.items() if one is not None}),
            work=Path(work),
            cycle_ms=arguments.cycle_ms,
            sizes=tuple(arguments.sizes or SIZES),
            device=device_of(arguments.device),
            backend=arguments.backend,
            threads=arguments.threads,
            weights_file=arguments.source_weights,
            cache_limit_bytes=int(arguments.cache_limit_gib * 2**30),
        )
        for line in advise(job, display).lines():
            display.say(line)
    return 0


def run_recalibrate(arguments: argparse.Namespace, display: RichDisplay) -> int:
    """A new version from new good images."""
    artifact = _active(arguments.artifact, display)
    product = load_artifact(artifact).manifest.product
    _check_names(product, arguments.version)
    folder = arguments.out / product
    path = folder / arguments.version if arguments.version else folder
    _check_place(path, folder, replace=arguments.replace)
    given = arguments
    rates = NewRates(given.review_rate, given.ng_rate, given.map_rate, given.tail_fit, tuple(given.calibrate_under))
    job = Recalibration(
        artifact=artifact,
        data=arguments.data,
        path=path,
        version=arguments.version,
        rates=rates,
        accept_shift=arguments.accept_shift,
        device=device_of(arguments.device),
        backend=arguments.backend,
        threads=arguments.threads,
        weights_file=arguments.source_weights,
    )
    recalibrate(job, display)
    return 0


def run_mask(arguments: argparse.Namespace, display: RichDisplay) -> int:
    """A new version that looks at other places, with a calibration of its own."""
    regions = read_regions(arguments.roi, arguments.ignore)
    if (regions is None) != arguments.whole:
        raise ValueError("give --roi or --ignore, or --whole to look at the whole picture again")
    product = load_artifact(arguments.artifact).manifest.product
    _check_names(product, arguments.version)
    folder = arguments.out / product
    path = folder / arguments.version if arguments.version else folder
    _check_place(path, folder, replace=arguments.replace)
    job = Recalibration(
        artifact=arguments.artifact,
        data=arguments.data,
        path=path,
        version=arguments.version,
        rates=NewRates(under=tuple(arguments.calibrate_under)),
        accept_shift=False,
        device=device_of(arguments.device),
        backend=arguments.backend,
        threads=arguments.threads,
        weights_file=arguments.source_weights,
        new_mask=NewMask(regions),
    )
    recalibrate(job, display)
    return 0


def run_preview(arguments: argparse.Namespace, display: RichDisplay) -> int:
    """A drawing of what the network would see."""
    given = {name: getattr(arguments, name) for name in ("image_size", "view", "tile_side", "tile_overlap")}
    settings = TrainingSettings.model_validate({name: value for name, value in given.items() if value is not None})
    regions = read_regions(arguments.roi, arguments.ignore)
    for line in draw_preview(arguments.picture, settings, regions, arguments.out):
        display.say(line)
    return 0


def run_evaluate(arguments: argparse.Namespace, display: RichDisplay) -> int:
    """A report over a labelled set."""
    path = _active(arguments.artifact, display)
    report = evaluate(path, arguments.data, arguments.out, _machine(arguments), display, arguments.painted_defects)
    if arguments.json:
        sys.stdout.write((report.parent / "metrics.json").read_text())
    display.say(f"open {report}")
    return 0


def run_compare(arguments: argparse.Namespace, display: RichDisplay) -> int:
    """Two artifacts over one labelled set."""
    first, second = (_active(path, display) for path in (arguments.first, arguments.second))
    page = compare(first, second, arguments.data, arguments.out, _machine(arguments), display)
    display.say(f"open {page}")
    return 0


def run_robustness(arguments: argparse.Namespace, display: RichDisplay) -> int:
    """Rates under small changes."""
    job = Robustness(
        artifact=_active(arguments.artifact, display),
        data=arguments.data,
        out=arguments.out,
        calibrate_under=tuple(arguments.calibrate_under),
        device=device_of(arguments.device),
        backend=arguments.backend,
        threads=arguments.threads,
        weights_file=arguments.source_weights,
    )
    display.say(f"read {measure_robustness(job, display)}")
    return 0


def study(arguments: argparse.Namespace, display: RichDisplay) -> int:
    """A whole study; 1 where something is missing."""
    job = StudyJob(
        plan=read_plan(arguments.plan),
        out=arguments.out,
        device=device_of(arguments.device),
        backend=arguments.backend,
        threads=arguments.threads,
        weights_file=arguments.source_weights,
        cache_limit_bytes=int(arguments.cache_limit_gib * 2**30),
    )
    outcome = run_study(job, display)
    for text in outcome.missing:
        display.say(f"missing: {text}")
    display.say(f"read {outcome.table}")
    return 1 if outcome.missing else 0


COMMANDS = {
    "fit": fit,
    "many": many,
    "methods": methods,
    "advise": run_advise,
    "recalibrate": run_recalibrate,
    "mask": run_mask,
    "preview": run_preview,
    "evaluate": run_evaluate,
    "compare": run_compare,
    "robustness": run_robustness,
    "study": study,
}


def _active(path: Path, display: RichDisplay) -> Path:
    """The artifact that the folder means; of a product with versions it is said which one."""
    found = active_artifact(path)
    if found != path:
        display.say(f"taking version {found.name} of {path}")
    return found


def _machine(arguments: argparse.Namespace) -> Machine:
    return Machine(device_of(arguments.device), arguments.backend, arguments.threads, arguments.source_weights)


def device_of(name: str) -> torch.device:
    """The device of that name, auto being CUDA where it is there. Raises ValueError in words."""
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


def _job(arguments: argparse.Namespace, data: Path, product: str) -> TrainingJob:
    _check_names(product, arguments.version)
    return TrainingJob(
        data=data,
        product=product,
        out=arguments.out.absolute() if arguments.command == "many" else arguments.out,  # others work elsewhere
        version=arguments.version,
        settings=settings_of(arguments),
        device=device_of(arguments.device),
        backend=arguments.backend,
        threads=arguments.threads,
        weights_file=arguments.source_weights,
        cache_limit_bytes=int(arguments.cache_limit_gib * 2**30),
        subfolders=arguments.subfolders,
        accept_degenerate=arguments.accept_degenerate,
        chooser=Auto(arguments.cycle_ms, sizes_of(arguments, SIZES)) if wants_auto(arguments) else None,
        regions=read_regions(arguments.roi, arguments.ignore),
    )


def _check_names(product: str, version: str) -> None:
    for word, text in (("product", product), ("version", version or "v")):
        if not NAME_PATTERN.fullmatch(text):
            raise ValueError(
                f"the {word} {text!r} cannot be a name: a letter or digit first, then letters, digits, dot, dash and "
                "underscore, 64 at most"
            )


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
