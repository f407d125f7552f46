"""Tells in words what a result of this machine follows from, so that it can be kept until any of that changes."""

from __future__ import annotations

import functools
import platform
from importlib import metadata

import torch

from models.backends.base import SourceKey
from models.backends.processor import processor_name
from models.backends.single_threads import waiting_threads_sleep
from models.version import DISTRIBUTION

# All that a picture's bytes go through on their way to a score.
OF_A_SCORE = (
    *(DISTRIBUTION, "torch", "numpy", "ncnn", "onnxruntime", "safetensors"),
    *("opencv-python-headless", "opencv-python", "Pillow", "simplejpeg"),
)


@functools.cache
def versions(packages: tuple[str, ...]) -> str:
    """The versions of those packages that are installed."""
    return ", ".join(f"{name} {found}" for name in packages if (found := _version(name)))


def waiting() -> str:
    """What OpenMP's threads do while they wait."""
    return "sleeping" if waiting_threads_sleep() else "spinning"


def score_conditions(source: SourceKey, backend: str, device: torch.device, threads: int, *, half: bool) -> str:
    """All that a score follows from beside artifact and picture: machine, libraries, source, and what runs it."""
    on = torch.backends.cpu.get_cpu_capability()
    if device.type == "cuda":  # each of several of one model is looked at by itself
        on = f"{device.index or 0}: {torch.cuda.get_device_name(device)}"
    return "; ".join(
        (
            processor_name(),
            f"{device.type} {on}",
            f"{threads} and {torch.get_num_threads()} threads, {waiting()}",
            f"Python {platform.python_version()}, torch build {torch.__version__}, {versions(OF_A_SCORE)}",
            f"{source.source} {source.sha256}, normalisation {source.normalisation}, {source.precision}",
            f"backend {backend}{', half' if half else ''}",
        )
    )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
