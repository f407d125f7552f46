"""The source that an artifact names in, the one engine of this device that runs it out, built at first need."""

from __future__ import annotations

import importlib.util
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, get_args

import torch

from models.backends.base import SourceBackend, SourceKey
from models.backends.bfloat16_backend import Bfloat16Backend
from models.backends.cuda_backend import CudaBackend
from models.backends.ncnn_backend import NcnnBackend
from models.backends.processor import has_fast_bfloat16
from models.backends.torch_backend import TorchBackend
from models.backends.winograd_backend import WinogradBackend
from models.sources.vgg16 import SOURCES, Normalisation, Precision, SourceNetwork
from models.sources.weights import SourceWeightsError, canonical_sha256, load_source_weights

BackendName = Literal["auto", "torch", "ncnn", "winograd", "cuda"]
BuiltBackend = Literal["torch", "ncnn", "winograd", "cuda"]
CPU_BACKENDS = ("ncnn", "winograd")
BACKEND_NAMES: tuple[str, ...] = get_args(BackendName)
NO_AMX = (
    "an artifact's source precision is bfloat16 and this CPU has no AMX: it is computed in float32 and rounded, as "
    "slow as by the engine torch; artifacts trained with --source-precision float32 are the faster ones here"
)
log = logging.getLogger("mkd.engines")


class SourcePool(Mapping[SourceKey, SourceBackend]):
    """One engine for each distinct source on one device. `require` builds; reading never does.

    `threads` are CPU threads for the source pass; `weights_file` is looked at before the cache.
    """

    def __init__(
        self,
        device: torch.device,
        *,
        engine: BackendName = "auto",
        threads: int | None = None,
        half: bool = False,
        weights_file: Path | None = None,
    ) -> None:
        self.device = device
        self.engine, self.reason = choose_backend(engine, device)
        self._threads = threads or os.cpu_count() or 1
        self._half = half
        self._weights_file = weights_file
        self._engines: dict[SourceKey, SourceBackend] = {}
        self._building = threading.Lock()

    def require(self, key: SourceKey) -> SourceBackend:
        """The engine of that source. Raises SourceWeightsError where its weights are not at hand or are others."""
        with self._building:
            if key not in self._engines:
                self._engines[key] = self._build(key)
            return self._engines[key]

    def _build(self, key: SourceKey) -> SourceBackend:
        tensors = load_source_weights(key.weights, self._weights_file)
        found = canonical_sha256(tensors)
        if found != key.sha256:
            raise SourceWeightsError(
                f"the artifact was trained on source weights {key.sha256[:12]} ({key.weights}); "
                f"here are {found[:12]}: bring the same file to this machine"
            )
        network = SourceNetwork(SOURCES[key.weights], key.normalisation)
        network.load_canonical(tensors)
        engine, reason = self.chosen(key)
        log.info("source %s in %s on %s by engine %s (%s)", key.weights, key.precision, self.device, engine, reason)
        if engine == "bfloat16":
            if not has_fast_bfloat16():
                log.warning(NO_AMX)
            return Bfloat16Backend(network, self._threads)
        if engine == "ncnn":
            return NcnnBackend(network, self._threads)
        if engine == "winograd":
            return WinogradBackend(network, self._threads)
        if engine == "cuda":
            return CudaBackend(network, self.device, precision=key.precision)
        return TorchBackend(network, self.device, half=self._half, precision=key.precision)

    def chosen(self, key: SourceKey) -> tuple[BuiltBackend | Literal["bfloat16"], str]:
        """The engine of that source and why: in bfloat16 a CPU has one of its own, unless torch was asked for."""
        if key.precision == "bfloat16" and self.device.type == "cpu" and self.engine != "torch":
            return "bfloat16", "the artifact's source precision"
        return self.engine, self.reason

    def __getitem__(self, key: SourceKey) -> SourceBackend:
        return self._engines[key]

    def __iter__(self) -> Iterator[SourceKey]:
        return iter(self._engines)

    def __len__(self) -> int:
        return len(self._engines)


def choose_backend(asked: BackendName, device: torch.device) -> tuple[BuiltBackend, str]:
    """The engine to build on this device and, in words, why. Raises ValueError where the asked one cannot be."""
    if asked == "auto":
        if device.type != "cpu":
            return "torch", f"the device is {device}"
        if torch.backends.mkl.is_available():  # type: ignore[no-untyped-call]
            return "winograd", "the fastest one for a CPU where torch has MKL"
        if importlib.util.find_spec("ncnn") is not None:
            return "ncnn", "the fastest one installed for a CPU where torch has no MKL"
        return "torch", "torch has no MKL and ncnn is not installed"
    if asked in CPU_BACKENDS and device.type != "cpu":
        raise ValueError(f"the engine {asked} runs on a CPU, not on {device}; use --engine torch or auto")
    if asked == "cuda" and device.type != "cuda":
        raise ValueError(f"the engine cuda runs on a CUDA device, not on {device}")
    if asked == "ncnn" and importlib.util.find_spec("ncnn") is None:
        raise ValueError("the engine ncnn is not installed: pip install 'mkdserve[ncnn]'")
    return asked, "asked for"


def source_key(
    weights: str, normalisation: Normalisation, file: Path | None = None, precision: Precision = "float32"
) -> SourceKey:
    """The key of the weights that this machine has under that name; what a new artifact records."""
    return SourceKey(weights, canonical_sha256(load_source_weights(weights, file)), normalisation, precision)
