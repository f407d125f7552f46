"""Builds the backend of a given name for an artifact's source, so that benchmarks compare backends on one artifact.

`bfloat16` is no backend to ask for: it comes with the artifact's source precision. Here it runs any artifact's head.
Its scores would be of another calibration then; the time that it takes is the same.
"""

from __future__ import annotations

from typing import cast

import torch

from models.backends.base import SourceKey
from models.backends.choice import BackendName
from models.backends.pool import SourcePool

CPU = torch.device("cpu")
CPU_BACKENDS = ("torch", "ncnn", "winograd", "bfloat16")


def built(name: str, key: SourceKey, threads: int) -> tuple[SourcePool, SourceKey]:
    """A pool with that backend, on the CPU, and the key of the source that it runs.

    Raises ImportError or ValueError where that backend is not to be had here.
    """
    half = name == "bfloat16"
    pool = SourcePool(CPU, backend="auto" if half else cast(BackendName, name), threads=threads)
    found = key._replace(precision="bfloat16" if half else "float32")
    pool.require(found)
    return pool, found
