"""What each command of `mkd-train` does with its arguments."""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from models.artifact import active_artifact, load_artifact
from models.backends.pool import SourcePool
from models.exit_codes import ExitCode
from models.writing import require_writable
from trainer.adopt import adopt
from trainer.advise.advice import AdviceJob, advise
from trainer.advise.candidates import SIZES
from trainer.advise.chooser import Auto, ViewThenMethod
from trainer.advise.copies import advise_copies
from trainer.advise.tile_heads import AutoTileHeads
from trainer.cli.method_list import method_lines
from trainer.cli.next_command import next_command
from trainer.cli.place import Place, check_names, place_of
from trainer.cli.settings import AUTO, auto_view, names_method, settings_of, sizes_of, sources_of, wants_auto
from trainer.compare import compare
from trainer.config import TrainingSettings
from trainer.display import RichDisplay
from trainer.evaluate import Machine, evaluate
from trainer.forecast.forecast import forecast
from trainer.part_files import groups_of_part
from trainer.preview import draw_preview, size_of_picture
from trainer.recalibrate import NewMask, NewRates, Recalibration, recalibrate
from trainer.regions_file import read_regions
from trainer.robustness import Robustness, measure_robustness
from trainer.run import MethodChooser, TrainingJob, train
from trainer.study.plan import read_plan
from trainer.study.study import StudyJob, run_study
from trainer.train_all import Cluster, product_folders, train_all
from trainer.training_set import read_training_set

REPORTS = Path("reports")  # beside where one works


def fit(arguments: argparse.Namespace, display: RichDisplay) -> int:
    """One product."""
    place = place_of(arguments.out, arguments.product, arguments.version, replace=arguments.replace)
    job = replace(_job(arguments, arguments.data, place), forecast=None if arguments.no_forecast else forecast)
    artifact = train(job, display)
    display.say(place.served_words())
    display.say(f"next: {next_command(artifact.path, arguments.data, arguments.out)}")
    return ExitCode.DONE


def many(arguments: argparse.Namespace, display: RichDisplay) -> int:
    """Every subfolder that has no artifact (or none of the version that is given) yet."""
    out = arguments.out.absolute()  # others work elsewhere
    folders = product_folders(arguments.folder)
    missing = [each for each in folders if arguments.replace or not (out / each.name / arguments.version).exists()]
    if len(missing) < len(folders):
        display.say(f"{len(folders) - len(missing)} of {len(folders)} are there already and left as they are")
    places = [place_of(out, each.name, arguments.version, replace=arguments.replace) for each in missing]
    jobs = [_job(arguments, each.absolute(), place) for each, place in zip(missing, places, strict=True)]
    cluster = Cluster(arguments.ray, arguments.ray_cpus, arguments.ray_gpus) if arguments.ray else None
    good = train_all(jobs, display, at_once=arguments.at_once, cluster=cluster)
    return ExitCode.DONE if good else ExitCode.NOT_IN_ORDER


def run_adopt(arguments: argparse.Namespace, display: RichDisplay) -> int:
    """A plain artifact becomes the first version of its product."""
    check_names("product", arguments.version)
    made = adopt(arguments.artifact, arguments.version)
    display.say(f"{made}: the first version of {made.parent.name}, with every byte as it was")
    return ExitCode.DONE


def methods(arguments: argparse.Namespace, display: RichDisplay) -> int:
    """The list of methods."""
    for line in method_lines(arguments.name):
        display.say(line)
    return ExitCode.DONE


def run_advise(arguments: argparse.Namespace, display: RichDisplay) -> int:
    """The table of what was tried, and what would be taken."""
    sources = sources_of(arguments)
    given = {name: getattr(arguments, name) for name in ("seed", "hold_out", *(() if sources else ("source",)))}
    with tempfile.TemporaryDirectory() as work:
        job = AdviceJob(
            found=read_training_set(arguments.data, subfolders=arguments.subfolders),
            settings=TrainingSettings.model_validate({name: one for name, one in given.items() if one is not None}),
            work=Path(work),
            cycle_ms=arguments.cycle_ms,
            sizes=tuple(arguments.sizes or SIZES),
            sources=sources,
            device=device_of(arguments.device),
            backend=arguments.backend,
            threads=arguments.threads,
            weights_file=arguments.source_weights,
            cache_limit_bytes=int(arguments.cache_limit_gib * 2**30),
        )
        for line in advise(job, display).lines():
            display.say(line)
        copies = advise_copies(job, display)
        for line in copies.lines() if copies is not None else ():
            display.say(line)
    return ExitCode.DONE


def run_recalibrate(arguments: argparse.Namespace, display: RichDisplay) -> int:
    """A new version from new good images."""
    artifact = _active(arguments.artifact, display)
    place = _beside(artifact, arguments)
    given = arguments
    rates = NewRates(given.review_rate, given.ng_rate, given.map_rate, given.tail_fit, tuple(given.calibrate_under))
    job = Recalibration(
        artifact=artifact,
        data=arguments.data,
        path=place.path,
        version=place.version,
        rates=rates,
        accept_shift=arguments.accept_shift,
        device=device_of(arguments.device),
        backend=arguments.backend,
        threads=arguments.threads,
        weights_file=arguments.source_weights,
    )
    recalibrate(job, display)
    display.say(place.served_words())
    return ExitCode.DONE


def run_mask(arguments: argparse.Namespace, display: RichDisplay) -> int:
    """A new version that looks at other places, with a calibration of its own."""
    regions = read_regions(arguments.roi, arguments.ignore)
    if (regions is None) != arguments.whole:
        raise ValueError("give --roi or --ignore, or --whole to look at the whole picture again")
    artifact = _active(arguments.artifact, display)
    place = _beside(artifact, arguments)
    job = Recalibration(
        artifact=artifact,
        data=arguments.data,
        path=place.path,
        version=place.version,
        rates=NewRates(under=tuple(arguments.calibrate_under)),
        accept_shift=False,
        device=device_of(arguments.device),
        backend=arguments.backend,
        threads=arguments.threads,
        weights_file=arguments.source_weights,
        new_mask=NewMask(regions),
    )
    recalibrate(job, display)
    display.say(place.served_words())
    return ExitCode.DONE


def run_preview(arguments: argparse.Namespace, display: RichDisplay) -> int:
    """A drawing of what the network would see."""
    chooser = auto_view(arguments)
    names = ("view", "tile_side", "tile_overlap", "channels", *(("image_size",) if chooser is None else ()))
    given = {name: getattr(arguments, name) for name in names}
    settings = TrainingSettings.model_validate({name: value for name, value in given.items() if value is not None})
    if chooser is not None:
        pool = SourcePool(
            device_of(arguments.device),
            backend=arguments.backend,
            threads=arguments.threads,
            weights_file=arguments.source_weights,
        )
        size = size_of_picture(arguments.picture, settings.groups)
        groups = max(1, len(settings.groups or groups_of_part(arguments.picture)))
        proposal = chooser.propose([size], settings, pool, arguments.source_weights, groups)
        for line in proposal.lines():
            display.say(line)
        settings = proposal.taken.applied(settings)
    regions = read_regions(arguments.roi, arguments.ignore)
    require_writable(arguments.out.parent, "--out")
    for line in draw_preview(arguments.picture, settings, regions, arguments.out):
        display.say(line)
    return ExitCode.DONE


def run_evaluate(arguments: argparse.Namespace, display: RichDisplay) -> int:
    """A report over a labelled set."""
    path = _active(arguments.artifact, display)
    require_writable(arguments.out or REPORTS, "--out")
    report = evaluate(path, arguments.data, arguments.out, _machine(arguments), display, arguments.painted_defects)
    if arguments.json:
        sys.stdout.write((report.parent / "metrics.json").read_text())
    display.say(f"open {report}")
    return ExitCode.DONE


def run_compare(arguments: argparse.Namespace, display: RichDisplay) -> int:
    """Two artifacts over one labelled set."""
    first, second = (_active(path, display) for path in (arguments.first, arguments.second))
    require_writable(arguments.out, "--out")
    page = compare(first, second, arguments.data, arguments.out, _machine(arguments), display)
    display.say(f"open {page}")
    return ExitCode.DONE


def run_robustness(arguments: argparse.Namespace, display: RichDisplay) -> int:
    """Rates under small changes."""
    require_writable(arguments.out or REPORTS, "--out")
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
    return ExitCode.DONE


def study(arguments: argparse.Namespace, display: RichDisplay) -> int:
    """A whole study; 1 where something is missing."""
    require_writable(arguments.out, "--out")
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
    return ExitCode.NOT_IN_ORDER if outcome.missing else ExitCode.DONE


COMMANDS = {
    "fit": fit,
    "many": many,
    "adopt": run_adopt,
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


def _beside(artifact: Path, arguments: argparse.Namespace) -> Place:
    """The place of a new version that is made of an artifact."""
    product = load_artifact(artifact).manifest.product
    return place_of(arguments.out, product, arguments.version, replace=arguments.replace)


def _job(arguments: argparse.Namespace, data: Path, place: Place) -> TrainingJob:
    settings, chooser = settings_of(arguments), _chooser(arguments)
    return TrainingJob(
        data=data,
        product=place.product,
        out=place.out,
        version=place.version,
        settings=settings,
        device=device_of(arguments.device),
        backend=arguments.backend,
        threads=arguments.threads,
        weights_file=arguments.source_weights,
        cache_limit_bytes=int(arguments.cache_limit_gib * 2**30),
        subfolders=arguments.subfolders,
        accept_degenerate=arguments.accept_degenerate,
        chooser=AutoTileHeads(chooser) if settings.tile_heads == AUTO else chooser,
        regions=read_regions(arguments.roi, arguments.ignore),
    )


def _chooser(arguments: argparse.Namespace) -> MethodChooser | None:
    view, sources = auto_view(arguments), sources_of(arguments)
    if wants_auto(arguments):
        if view is not None:
            return ViewThenMethod(view, sources)
        return Auto(arguments.cycle_ms, sizes_of(arguments, SIZES), sources)
    if sources:
        raise ValueError("--source auto goes with --method auto: name a source, or leave the method to it as well")
    return None if view is None else replace(view, own_method=not names_method(arguments))
