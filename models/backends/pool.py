"""Builds, at first need, the one backend of a device that runs the source which an artifact names."""

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
from models.sources.network import SourceNetwork, build_source
from models.sources.registry import Normalisation, Precision, SourceSpec, spec_of
from models.sources.weights import SourceWeightsError, canonical_sha256, load_source_weights

BackendName = Literal["auto", "torch", "ncnn", "winograd", "cuda"]
BuiltBackend = Literal["torch", "ncnn", "winograd", "cuda"]
BACKEND_NAMES: tuple[str, ...] = get_args(BackendName)
CPU_BACKENDS = ("ncnn", "winograd")
ONLY_FOR: Mapping[str, str] = {"ncnn": "vgg16", "winograd": "vgg16"}  # backend -> the one architecture that it runs
NO_AMX = (
    "an artifact's source precision is bfloat16 and this CPU has no AMX: it is computed in float32 and rounded, as "
    "slow as by the backend torch; artifacts trained with --source-precision float32 are the faster ones here"
)
log = logging.getLogger("mkd.backends")


class SourcePool(Mapping[SourceKey, SourceBackend]):
    """One backend for each distinct source on one device. `require` builds; reading never does.

    `backend` is what was asked for; `threads` are CPU threads for the source pass; `weights_file` is looked at before
    the cache. Raises ValueError where the asked backend cannot be on this device.
    """

    def __init__(
        self,
        device: torch.device,
        *,
        backend: BackendName = "auto",
        threads: int | None = None,
        half: bool = False,
        weights_file: Path | None = None,
    ) -> None:
        check_backend(backend, device)
        self.device = device
        self._asked = backend
        self._threads = threads or os.cpu_count() or 1
        self._half = half
        self._weights_file = weights_file
        self._backends: dict[SourceKey, SourceBackend] = {}
        self._building = threading.Lock()

    def require(self, key: SourceKey) -> SourceBackend:
        """The backend of that source, from now on in the pool.

        Raises SourceWeightsError where its weights are not at hand or are others, ValueError where the backend that
        was asked for does not run this source.
        """
        with self._building:
            if key not in self._backends:
                self._backends[key] = self._build(key)
            return self._backends[key]

    def chosen(self, key: SourceKey) -> tuple[BuiltBackend | Literal["bfloat16"], str]:
        """The backend of that source and, in words, why. Raises ValueError where the asked one does not run it.

        In bfloat16 a CPU has a backend of its own for VGG-16, unless torch was asked for.
        """
        spec = spec_of(key.source)
        backend, reason = choose_backend(self._asked, self.device, spec)
        if key.precision == "bfloat16" and backend in CPU_BACKENDS:
            return "bfloat16", "the artifact's source precision"
        return backend, reason

    def _build(self, key: SourceKey) -> SourceBackend:
        backend, reason = self.chosen(key)
        log.info("source %s in %s on %s by backend %s (%s)", key.source, key.precision, self.device, backend, reason)
        network = self._network(key)
        if backend == "bfloat16":
            if not has_fast_bfloat16():
                log.warning(NO_AMX)
            return Bfloat16Backend(network, self._threads)
        if backend == "ncnn":
            return NcnnBackend(network, self._threads)
        if backend == "winograd":
            return WinogradBackend(network, self._threads)
        if backend == "cuda":
            return CudaBackend(network, self.device, precision=key.precision)
        return TorchBackend(network, self.device, half=self._half, precision=key.precision)

    def _network(self, key: SourceKey) -> SourceNetwork:
        spec = spec_of(key.source)
        tensors = load_source_weights(key.source, self._weights_file)
        found = canonical_sha256(spec, tensors)
        if found != key.sha256:
            raise SourceWeightsError(
                f"the artifact was trained on source weights {key.sha256[:12]} ({key.source}); "
                f"here are {found[:12]}: bring the same file to this machine"
            )
        return build_source(spec, key.normalisation, tensors)

    def __getitem__(self, key: SourceKey) -> SourceBackend:
        return self._backends[key]

    def __iter__(self) -> Iterator[SourceKey]:
        return iter(self._backends)

    def __len__(self) -> int:
        return len(self._backends)


def check_backend(asked: BackendName, device: torch.device) -> None:
    """Raises ValueError where the asked backend cannot be on this device, whatever the source."""
    if asked in CPU_BACKENDS and device.type != "cpu":
        raise ValueError(f"the backend {asked} runs on a CPU, not on {device}; use torch or auto")
    if asked == "cuda" and device.type != "cuda":
        raise ValueError(f"the backend cuda runs on a CUDA device, not on {device}")
    if asked == "ncnn" and importlib.util.find_spec("ncnn") is None:
        raise ValueError("the backend ncnn is not installed: pip install 'mkdserve[ncnn]'")


def choose_backend(asked: BackendName, device: torch.device, source: SourceSpec) -> tuple[BuiltBackend, str]:
    """The backend to build on this device for that source and, in words, why.

    Raises ValueError where the asked one cannot be on this device or does not run the source.
    """
    check_backend(asked, device)
    if asked == "auto":
        return _fastest(device, source)
    only = ONLY_FOR.get(asked, source.architecture)
    if only != source.architecture:
        raise ValueError(f"the backend {asked} runs {only} only; {source.name} needs torch")
    return asked, "asked for"


def _fastest(device: torch.device, source: SourceSpec) -> tuple[BuiltBackend, str]:
    if device.type != "cpu":
        return "torch", f"the device is {device}"
    if source.architecture != ONLY_FOR["winograd"]:
        return "torch", f"the only one for {source.architecture} on a CPU"
    if torch.backends.mkl.is_available():  # type: ignore[no-untyped-call]
        return "winograd", "the fastest one for a CPU where torch has MKL"
    if importlib.util.find_spec("ncnn") is not None:
        return "ncnn", "the fastest one installed for a CPU where torch has no MKL"
    return "torch", "torch has no MKL and ncnn is not installed"


def source_key(
    source: str, normalisation: Normalisation, file: Path | None = None, precision: Precision = "float32"
) -> SourceKey:
    """The key of the source of that name with the weights that this machine has; what a new artifact records.

    Raises SourceWeightsError where they are not at hand.
    """
    tensors = load_source_weights(source, file)
    spec = spec_of(source)
    return SourceKey(spec.name, canonical_sha256(spec, tensors), normalisation, precision)
