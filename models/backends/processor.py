"""Says which processor this is and whether it multiplies bfloat16 in hardware, many times faster than float32."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

import torch


@functools.cache
def has_fast_bfloat16() -> bool:
    """True on CPUs with AMX tiles (Intel's since 2023). Elsewhere bfloat16 is slower than float32, down to a fifth."""
    supported = getattr(torch.cpu, "_is_amx_tile_supported", None)  # public names differ from torch to torch
    return bool(supported()) if supported is not None else False


@functools.cache
def processor_name() -> str:
    """The processor's name, as far as it tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.machine())
