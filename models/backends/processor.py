"""Says what this processor can do: whether it multiplies bfloat16 in hardware, many times faster than float32."""

from __future__ import annotations

import functools

import torch


@functools.cache
def has_fast_bfloat16() -> bool:
    """True on CPUs with AMX tiles (Intel's since 2023). Elsewhere bfloat16 is slower than float32, down to a fifth."""
    supported = getattr(torch.cpu, "_is_amx_tile_supported", None)  # public names differ from torch to torch
    return bool(supported()) if supported is not None else False
