"""Starts the child process of a training, with what it may use."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.variables import PASSED_ON
from service.errors import TrainingsOff
from service.trainings.folder import TrainingFolder
from service.trainings.lock import Claim
from service.trainings.record import TrainingRecord

NEEDED = ("trainer", "sklearn", "scipy", "matplotlib", "jinja2", "rich")
INSTALL = "pip install 'mkdserve[train]'"
POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class TrainingOptions:
    """What a training may use. `weights` is a file of source weights, None for the usual places.

    `trainer` is the program that fits.
    """

    max_pictures: int
    max_bytes: int
    threads: int
    weights: Path | None = None
    trainer: Sequence[str] = (sys.executable, "-m", "trainer")


def check_installed() -> None:
    """Raises TrainingsOff where the trainer cannot run."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise TrainingsOff(f"the trainer is not installed here (missing: {', '.join(missing)}): {INSTALL}")


def start(
    folder: TrainingFolder, record: TrainingRecord, claim: Claim, options: TrainingOptions, flags: Sequence[str]
) -> subprocess.Popen[bytes]:
    """The process that runs the trainer with `flags` besides; it holds the claim from then on. Raises OSError.

    The CPU alone is used: a GPU knows no priorities. The backend is not chosen by a race, whose result would be kept
    for the service although it was measured at low priority.
    """
    place = ["--product", record.product, "--version", record.version, "--out", str(folder.out)]
    machine = ["--threads", str(options.threads), "--device", "cpu", "--backend", "torch"]
    weights = ["--source-weights", str(options.weights.absolute())] if options.weights is not None else []
    fit = [*options.trainer, "fit", str(folder.pictures), *place, *machine, *weights, *flags]
    return subprocess.Popen(  # noqa: S603 (every part of it is checked or a path of our own)
        [sys.executable, "-m", "service.trainings", str(folder.path), *fit],
        stdin=subprocess.DEVNULL,
        env=environment(options.threads),
        pass_fds=(claim.file,),
        process_group=0,  # no session of its own: see low_priority
    )


def environment(threads: int) -> dict[str, str]:
    """That of this process without the service's settings, its keys above all, and with bounded thread pools."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MKD_") or name in PASSED_ON}
    here = str(Path(__file__).parents[2])  # else the child might find another installation
    path = os.pathsep.join([here, *([kept["PYTHONPATH"]] if kept.get("PYTHONPATH") else [])])
    return kept | dict.fromkeys(POOLS, str(threads)) | {"PYTHONPATH": path}
