"""The name of an engine in, a pool with that engine built, and the source key that it runs, out.

`bfloat16` is no engine to ask for: it comes with the artifact's source precision. Here it runs any artifact's head. Its
scores would be of another calibration then; the time that it takes is the same.
"""

from __future__ import annotations

from typing import cast

import torch

from models.backends.base import SourceKey
from models.backends.pool import BACKEND_NAMES, BackendName, SourcePool

CPU = torch.device("cpu")
ENGINES = (*(name for name in BACKEND_NAMES if name != "auto"), "bfloat16")


def built(name: str, key: SourceKey, threads: int) -> tuple[SourcePool, SourceKey]:
    """On the CPU. Raises ImportError or ValueError where that engine is not to be had here."""
    half = name == "bfloat16"
    pool = SourcePool(CPU, engine="auto" if half else cast(BackendName, name), threads=threads)
    found = key._replace(precision="bfloat16" if half else "float32")
    pool.require(found)
    return pool, found
