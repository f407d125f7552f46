"""The resident memory of a process and this one's peak, as Linux counts them."""

from __future__ import annotations

import re
from pathlib import Path

_MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \S+ *(.*)")
_CUDA = re.compile(r"lib(cu|nv|nccl|torch_cuda|c10_cuda|torch_nvshmem)")


def begin_peak() -> None:
    """The peak begins anew."""
    Path("/proc/self/clear_refs").write_text("5")


def resident_bytes() -> int:
    """What is resident now."""
    return _bytes("VmRSS")


def peak_bytes_above(before: int) -> int:
    """The peak since `begin_peak`, above what was resident then."""
    return _bytes("VmHWM") - before


def _bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])


def cuda_bytes(process: int) -> int:
    """What of a process's resident memory are CUDA's libraries: their files' pages, and their data behind them."""
    total, of_cuda = 0, False
    for line in Path(f"/proc/{process}/smaps").read_text().splitlines():
        if mapping := _MAPPING.match(line):
            file = mapping[1].rsplit("/", 1)[-1]
            of_cuda = bool(_CUDA.match(file)) or (of_cuda and not file)  # uninitialised data is an unnamed mapping
        elif of_cuda and line.startswith("Rss:"):
            total += 1024 * int(line.split()[1])
    return total
