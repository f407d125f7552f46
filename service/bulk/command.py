"""The command `mkd-score`: judges a set of images part by part, on this machine or on a Ray cluster."""

from __future__ import annotations

import argparse
import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from rich.console import Console

from models.artifact import ArtifactError, active_artifact, load_artifact
from models.backends.choice import BACKEND_NAMES, candidates
from models.exit_codes import ExitCode, os_words
from models.imaging.decode import ImageLimits
from models.imaging.map_picture import OverlayStyle
from models.one_line_parser import OneLineParser
from models.sources.registry import spec_of
from models.sources.weights import SourceWeightsError
from models.writing import NotWritable, require_writable
from service.bulk.errors import BulkError
from service.bulk.images import Images, images_of
from service.bulk.progress import progress
from service.bulk.result_csv import write_csv
from service.bulk.result_parts import ResultParts
from service.bulk.result_rows import table_of
from service.bulk.scorer import Scorer, ScoringSettings

# The first that fits; a ValueError is about a flag.
FAILURES: tuple[tuple[type[Exception], ExitCode], ...] = (
    (NotWritable, ExitCode.OUTPUT),
    (BulkError, ExitCode.INPUT),
    (ArtifactError, ExitCode.INPUT),
    (SourceWeightsError, ExitCode.INPUT),
    (ValueError, ExitCode.USAGE),
    (OSError, ExitCode.OUTPUT),  # what is read tells its own
)
FEWEST_TO_DOUBT = 8  # images
Part = tuple[int, int, int]
_LIMITS = ImageLimits()


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = OneLineParser(
        prog="mkd-score",
        description="Judge every image of a folder or a Parquet file; a rerun goes on where it stopped.",
    )
    top.add_version()
    top.add_argument("input", type=Path, help="folder of images, or a Parquet file with a column path or image")
    top.add_argument(
        "--artifact", type=Path, required=True, help="artifact folder, or a product's for its active version"
    )
    top.add_argument("--out", type=Path, required=True, help="Parquet file of the results")
    top.add_argument("--csv", type=Path, metavar="FILE", help="the results as a table for a spreadsheet, too")
    top.add_argument("--maps", type=Path, help="folder for the maps as PNG; the results then list the regions, too")
    top.add_argument("--overlay", choices=get_args(OverlayStyle), help="with --maps: overlays in this style, too")
    top.add_argument("--replace", action="store_true", help="replace results that are there")
    top.add_argument("--restart", action="store_true", help="throw away the parts of a run that was interrupted")
    machine = top.add_argument_group("machine")
    machine.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... [auto]")
    machine.add_argument("--backend", choices=BACKEND_NAMES, default="auto", help="what runs the source [auto]")
    machine.add_argument("--threads", type=_positive, help="CPU threads of the network [all]")
    machine.add_argument("--decode-threads", type=_positive, help="threads that decode [a quarter of the cores]")
    machine.add_argument("--batch", type=_positive, default=32, help="images judged at once, at most [32]")
    machine.add_argument("--part", type=_positive, default=1024, help="images between two saves [1024]")
    machine.add_argument("--weights", type=Path, help="file of source weights")
    machine.add_argument("--max-image-bytes", type=_positive, default=_LIMITS.max_bytes, help="[32 MiB]")
    machine.add_argument("--max-image-pixels", type=_positive, default=_LIMITS.max_pixels, help="[50 million]")
    cluster = top.add_argument_group("Ray cluster (images and artifact at the same path on every node)")
    cluster.add_argument(
        "--ray", nargs="?", const="auto", metavar="ADDRESS", help="judge there; auto finds a running one"
    )
    cluster.add_argument("--ray-workers", type=int, default=0, help="workers at most, 0 for as many as fit [0]")
    cluster.add_argument("--ray-cpus", type=float, default=1.0, help="cores of each worker [1]")
    cluster.add_argument("--ray-gpus", type=float, default=0.0, help="GPUs of each worker, as 0.5 or 1 [0]")
    return top


def run(arguments: Sequence[str]) -> int:
    """Runs the command; the exit code."""
    given = parser().parse_args(arguments)
    console = Console(stderr=True, soft_wrap=True)
    # A stopped container leaves its parts, as Ctrl-C does.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        score(given, console)
    except KeyboardInterrupt:
        _say(console, "interrupted; the same command goes on with what is missing")
        return ExitCode.INTERRUPTED
    except tuple(kind for kind, _ in FAILURES) as error:
        _say(console, f"error: {os_words(error) if isinstance(error, OSError) else error}")
        return next(code for kind, code in FAILURES if isinstance(error, kind))
    finally:
        signal.signal(signal.SIGTERM, before)
    return ExitCode.DONE


def score(given: argparse.Namespace, console: Console) -> None:
    """Judge what is missing, then write the results. Raises BulkError and others with the reason."""
    if given.out.exists() and not given.replace:
        raise NotWritable(f"{given.out} is there already: give --replace, or another --out")
    if given.overlay is not None and given.maps is None:
        raise ValueError("--overlay goes with --maps, the folder that overlays are written to")
    if given.csv is not None and given.csv.exists() and not given.replace:
        raise NotWritable(f"{given.csv} is there already: give --replace, or another --csv")
    for flag, folder in (
        ("--out", given.out.parent),
        ("--csv", given.csv and given.csv.parent),
        ("--maps", given.maps),
    ):
        if folder is not None:
            require_writable(folder, flag)
    artifact = active_artifact(given.artifact)
    if artifact != given.artifact:
        _say(console, f"taking version {artifact.name} of {given.artifact}")
        given.artifact = artifact
    settings = settings_of(given)
    images = images_of(given.input, settings.groups)
    parts = ResultParts(given.out, plan_of(settings, images), count=images.count, size=given.part)
    missing = parts.open(restart=given.restart)
    if settings.maps is not None:
        settings.maps.mkdir(parents=True, exist_ok=True)
    left = sum(stop - start for start, stop in map(parts.rows, missing))
    if left < images.count:
        _say(console, f"going on: {images.count - left} of {images.count} images are done")
    with progress(images.count, images.count - left, console) as advance:
        for number, table in judged(given, settings, images, [(number, *parts.rows(number)) for number in missing]):
            parts.write(number, table)
            advance(table.num_rows)
    parts.finish()
    for line in images.passed_over:
        _say(console, line)
    if given.csv is not None:
        write_csv(given.out, given.csv)
        _say(console, f"{given.csv}: the same as a table")
    decisions = pq.read_table(given.out, columns=["decision", "error_code"])
    _say(console, f"{given.out}: {_summary(decisions)}")
    if (doubt := _doubt(decisions)) is not None:
        _say(console, doubt)


def judged(
    given: argparse.Namespace, settings: ScoringSettings, images: Images, wanted: Sequence[Part]
) -> Iterator[tuple[int, pa.Table]]:
    """The parts that are wanted, each (number, first row, row after the last), with their tables as they are done."""
    if given.ray is None:
        return on_this_machine(settings, images, wanted)
    try:
        from service.bulk.on_ray import ClusterSettings, on_a_cluster
    except ModuleNotFoundError as error:
        raise BulkError(f"--ray: {error.name} is missing: pip install 'mkdserve[ray]'") from error
    cluster = ClusterSettings(given.ray, given.ray_workers, given.ray_cpus, given.ray_gpus)
    return on_a_cluster(settings, images, wanted, cluster)


def on_this_machine(
    settings: ScoringSettings, images: Images, wanted: Sequence[Part]
) -> Iterator[tuple[int, pa.Table]]:
    """One part after the other, judged here."""
    scorer = Scorer(settings) if wanted else None
    for number, start, stop in wanted:
        assert scorer is not None
        yield number, table_of(scorer.rows(images.read(start, stop)))


def settings_of(given: argparse.Namespace) -> ScoringSettings:
    """Raises ArtifactError for an artifact that is not whole, ValueError for a device or engine that is not there."""
    device = given.device
    cores = len(os.sched_getaffinity(0))
    if given.ray is not None:  # what decides is the worker's share, not this machine
        device, cores = "cuda" if given.ray_gpus else "cpu", max(1, int(given.ray_cpus))
    elif device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    artifact = load_artifact(given.artifact)
    candidates(given.backend, torch.device(device), spec_of(artifact.source.source))
    return ScoringSettings(
        artifact=given.artifact.resolve(),
        sha256=artifact.sha256,
        device=device,
        engine=given.backend,
        threads=given.threads or cores,
        decode_threads=given.decode_threads or max(1, cores // 4 if device == "cpu" else cores - 1),
        batch=given.batch,
        maps=given.maps.resolve() if given.maps else None,
        overlay=given.overlay,
        weights=given.weights,
        limits=ImageLimits(given.max_image_bytes, given.max_image_pixels),
        groups=artifact.preprocessing.groups,
    )


def plan_of(settings: ScoringSettings, images: Images) -> dict[str, object]:
    """What decides the rows: parts that were made otherwise must not be put together."""
    return {
        "images": images.fingerprint,
        "artifact": settings.sha256,
        "engine": settings.engine,
        "device": settings.device.partition(":")[0],
        "batch": settings.batch,
        "maps": str(settings.maps) if settings.maps else None,
        "overlay": settings.overlay,
        "limits": [settings.limits.max_bytes, settings.limits.max_pixels],
    }


def _doubt(table: pa.Table) -> str | None:
    """Words of warning where so many are not as the artifact's good parts that they may show something else."""
    decisions = Counter(value for value in table.column("decision").to_pylist() if value)
    if decisions.total() < FEWEST_TO_DOUBT or 2 * decisions["NG"] <= decisions.total():
        return None
    return (
        f"beware: {decisions['NG']} of {decisions.total()} are NG: are these pictures of this product, under the light "
        "that it was trained in? Else name another --artifact, or recalibrate (`mkd-train recalibrate`)"
    )


def _summary(table: pa.Table) -> str:
    counts = Counter(value for name in ("decision", "error_code") for value in table.column(name).to_pylist() if value)
    return f"{table.num_rows} images, " + ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not 1 or more")
    return value


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False)
