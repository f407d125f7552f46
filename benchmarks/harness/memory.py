"""The resident memory of this process and its peak, as Linux counts them."""

from __future__ import annotations

from pathlib import Path


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
