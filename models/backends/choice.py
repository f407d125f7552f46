"""Says which backends can run a source on a device: the one that was asked for, or those that `auto` races."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Literal, get_args

import torch

from models.sources.network import has_int8
from models.sources.registry import SOURCES, Precision, SourceSpec

BackendName = Literal["auto", "torch", "ncnn", "winograd", "onnxruntime", "cuda"]
BuiltBackend = Literal["torch", "ncnn", "winograd", "onnxruntime", "bfloat16", "cuda"]
BACKEND_NAMES: tuple[str, ...] = get_args(BackendName)
CPU_BACKENDS = ("ncnn", "winograd", "onnxruntime")
PACKAGES = ("ncnn", "onnxruntime")  # backends that are a package, and an extra, of the same name
ONLY_FOR: Mapping[str, str] = {"ncnn": "vgg16", "winograd": "vgg16"}  # backend -> the one architecture that it runs
# What has won anywhere: ONNX Runtime computes VGG-16 by plain convolutions, in twice ncnn's time.
RACED: Mapping[str, tuple[BuiltBackend, ...]] = {
    "vgg16": ("ncnn", "winograd", "torch"),
    "efficientnet-lite0": ("onnxruntime", "torch"),
}


def check_backend(asked: BackendName, device: torch.device) -> None:
    """Raises ValueError where the asked backend cannot be on this device, whatever the source."""
    if asked in CPU_BACKENDS and device.type != "cpu":
        raise ValueError(f"the backend {asked} runs on a CPU, not on {device}; use torch or auto")
    if asked == "cuda" and device.type != "cuda":
        raise ValueError(f"the backend cuda runs on a CUDA device, not on {device}")
    if asked in PACKAGES and not is_installed(asked):
        raise ValueError(f"the backend {asked} is not installed: pip install 'mkdserve[{asked}]'")


def is_installed(package: str) -> bool:
    """Whether it can be imported; it is not."""
    return importlib.util.find_spec(package) is not None


def candidates(
    asked: BackendName, device: torch.device, source: SourceSpec, precision: Precision = "float32"
) -> tuple[tuple[BuiltBackend, ...], str]:
    """The backends that may run that source on this device and, in words, why. Several only for "auto" on a CPU.

    Raises ValueError where the asked one cannot be on this device or does not run the source in that precision.
    """
    check_backend(asked, device)
    if precision == "int8":
        _check_int8(asked, device, source)
        return ("onnxruntime",), "the artifact's source precision"
    only = ONLY_FOR.get(asked, source.architecture)
    if only != source.architecture:
        others = " or ".join(name for name in RACED[source.architecture] if name not in ONLY_FOR)
        raise ValueError(f"the backend {asked} runs {only} only; {source.name} needs {others}")
    if device.type == "cpu" and precision == "bfloat16" and asked != "torch":
        found: BuiltBackend = "bfloat16" if source.architecture == "vgg16" else "torch"
        return (found,), "the artifact's source precision"
    if asked != "auto":
        return (asked,), "asked for"
    if device.type != "cpu":
        return ("torch",), f"the device is {device}"
    here = tuple(name for name in RACED[source.architecture] if _is_here(name))
    missing = [name for name in RACED[source.architecture] if name in PACKAGES and name not in here]
    reason = f"{' and '.join(missing)} not installed" if missing else "the only one here"
    return here, reason


def _check_int8(asked: BackendName, device: torch.device, source: SourceSpec) -> None:
    if not has_int8(source):
        able = " or ".join(name for name, spec in SOURCES.items() if has_int8(spec))
        raise ValueError(f"there is no int8 for {source.name}; a source precision of int8 needs --source {able}")
    if device.type != "cpu" or asked not in ("auto", "onnxruntime"):
        raise ValueError(
            f"a source precision of int8 runs on a CPU by the backend onnxruntime, not on {device} by {asked}: "
            "use auto, or an artifact of another precision"
        )
    if not is_installed("onnxruntime"):
        raise ValueError("a source precision of int8 needs ONNX Runtime: pip install 'mkdserve[onnxruntime]'")


def _is_here(name: BuiltBackend) -> bool:
    if name == "winograd":  # its threads work alone by MKL's own calls, and other matrix libraries are slower at it
        return bool(torch.backends.mkl.is_available())  # type: ignore[no-untyped-call]
    return name not in PACKAGES or is_installed(name)
