"""How many cores this process may use: a container's limit counts, not the size of its host."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def _quota(cgroup: Path) -> float | None:
    """Cores' worth of time that the container's limit allows (cgroup v2, then v1), or None where there is no limit."""
    try:
        quota, period = (cgroup / "cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        try:
            quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text(encoding="ascii")
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text(encoding="ascii")
        except OSError:
            return None
    try:
        return int(quota) / int(period) if int(quota) > 0 and int(period) > 0 else None
    except ValueError:  # "max"
        return None


def usable_cores(cgroup: Path = CGROUP) -> int:
    """Cores this process may run on, at least 1: those of its affinity, or fewer where a quota allows less.

    A quota of 2 on a host of 64 cores must not start 64 threads: they would use up the quota within the first
    milliseconds of each period and stand still for the rest of it. Part of a core counts as a whole one.
    """
    cores = len(os.sched_getaffinity(0))
    quota = _quota(cgroup)
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))
