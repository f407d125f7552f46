"""Builds, at first need, the one backend of a device that runs the source which an artifact names."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from models.backends.base import KeepsMemory, SourceBackend, SourceKey
from models.backends.by_size import BySize
from models.backends.choice import BackendName, BuiltBackend, candidates, check_backend
from models.backends.kept import Kept
from models.backends.processor import has_fast_bfloat16
from models.backends.race import in_words, race, winners
from models.backends.race_record import conditions, kept_race
from models.backends.torch_backend import TorchBackend
from models.backends.workload import Workload
from models.sources.network import build_source
from models.sources.registry import Normalisation, Precision, spec_of
from models.sources.weights import SourceWeightsError, cache_folder, canonical_sha256, load_source_weights

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
        self.threads = threads or os.cpu_count() or 1
        self.half = half
        self._weights_file = weights_file
        self._backends: dict[SourceKey, SourceBackend] = {}
        self._reasons: dict[SourceKey, str] = {}
        self._building = threading.Lock()

    def require(self, key: SourceKey, workload: Workload | None = None) -> SourceBackend:
        """The backend of that source, from now on in the pool. Where several could run it they are raced once.

        Raises SourceWeightsError where its weights are not at hand or are others, ValueError where the backend that
        was asked for does not run this source.
        """
        with self._building:
            if key not in self._backends:
                self._backends[key] = self._chosen(key, workload or Workload())
            return self._backends[key]

    def chosen(self) -> dict[str, str]:
        """Each source in the pool with its backend and, in words, why."""
        built = dict(self._backends)
        return {
            f"{key.source} in {key.precision}": f"{built[key].name} ({self._reasons[key]})"
            for key in built
            if key in self._reasons
        }

    def give_back(self) -> None:
        """Have all backends give back the memory that they keep between calls."""
        for backend in list(self._backends.values()):
            if isinstance(backend, KeepsMemory):
                backend.give_back()

    def _chosen(self, key: SourceKey, workload: Workload) -> SourceBackend:
        names, reason = candidates(self._asked, self.device, spec_of(key.source), key.precision)
        tensors = self._tensors(key)
        if len(names) == 1:
            backend = self._build(key, names[0], tensors)
        else:
            backend, reason = self._fastest(key, names, tensors, workload)
        self._reasons[key] = reason
        log.info(
            "source %s in %s on %s by backend %s (%s)", key.source, key.precision, self.device, backend.name, reason
        )
        return backend

    def _fastest(
        self, key: SourceKey, names: Sequence[BuiltBackend], tensors: Mapping[str, Tensor], workload: Workload
    ) -> tuple[SourceBackend, str]:
        """The winners of a race by batch size, and its outcome in words. Contenders that win nothing are dropped."""
        built: dict[str, SourceBackend] = {}
        images = workload.images()
        spec = spec_of(key.source)

        def run() -> dict[str, dict[int, float]]:
            built.update({name: self._build(key, name, tensors) for name in names})
            return race(built, images, workload.taps)

        where = conditions(spec.architecture, spec.wanted(workload.taps), images.shape[-1], self.threads)
        timings, kept = kept_race(cache_folder(), where, run)
        timings = {name: timings[name] for name in names if name in timings}
        by_size = winners(timings)
        kinds: dict[str, SourceBackend] = {
            name: built.get(name) or self._build(key, name, tensors) for name in names if name in by_size.values()
        }
        if len(kinds) == 1:
            return next(iter(kinds.values())), in_words(timings, kept=kept)
        return BySize({size: kinds[name] for size, name in by_size.items()}), in_words(timings, kept=kept)

    def _build(self, key: SourceKey, name: BuiltBackend, tensors: Mapping[str, Tensor]) -> SourceBackend:
        """Modules of backends are imported where they are built: what is not used is not loaded."""
        network = build_source(spec_of(key.source), key.normalisation, tensors)
        kept = Kept(cache_folder(), f"{key.source}-{key.sha256[:16]}-{key.normalisation}")
        if name == "bfloat16":
            from models.backends.bfloat16_backend import Bfloat16Backend

            if not has_fast_bfloat16():
                log.warning(NO_AMX)
            return Bfloat16Backend(network, self.threads)
        if name == "ncnn":
            from models.backends.ncnn_backend import NcnnBackend

            return NcnnBackend(
                network,
                self.threads,
                lambda: build_source(spec_of(key.source), key.normalisation, self._tensors(key)),
            )
        if name == "winograd":
            from models.backends.winograd_backend import WinogradBackend

            return WinogradBackend(network, self.threads, kept)
        if name == "onnxruntime":
            from models.backends.onnx_backend import OnnxBackend

            return OnnxBackend(network, self.threads, kept, key.precision)
        if name == "cuda":
            from models.backends.cuda_backend import CudaBackend

            return CudaBackend(network, self.device, precision=key.precision)
        return TorchBackend(network, self.device, half=self.half, precision=key.precision)

    def _tensors(self, key: SourceKey) -> dict[str, Tensor]:
        spec = spec_of(key.source)
        tensors = load_source_weights(key.source, self._weights_file)
        found = canonical_sha256(spec, tensors)
        if found != key.sha256:
            raise SourceWeightsError(
                f"the artifact was trained on source weights {key.sha256[:12]} ({key.source}); "
                f"here are {found[:12]}: bring the same file to this machine"
            )
        return tensors

    def __getitem__(self, key: SourceKey) -> SourceBackend:
        return self._backends[key]

    def __iter__(self) -> Iterator[SourceKey]:
        return iter(self._backends)

    def __len__(self) -> int:
        return len(self._backends)


def source_key(
    source: str, normalisation: Normalisation, file: Path | None = None, precision: Precision = "float32"
) -> SourceKey:
    """The key of the source of that name with the weights that this machine has; what a new artifact records.

    Raises SourceWeightsError where they are not at hand.
    """
    tensors = load_source_weights(source, file)
    spec = spec_of(source)
    return SourceKey(spec.name, canonical_sha256(spec, tensors), normalisation, precision)
