"""Makes this process and all that it starts yield to the service: processor, disk, and memory where it runs out."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import psutil

NICEST = 19
FIRST_TO_GO = "1000"  # the highest of oom_score_adj


def give_way() -> None:
    """Take only processor and disk time that nobody else wants, and be the first to go where memory runs out.

    What the system does not know or allow is left out. A session of its own would undo it: Linux shares the processor
    among sessions first where it groups them (autogroup), so the caller must not begin one.
    """
    process = psutil.Process()
    with contextlib.suppress(OSError, psutil.Error):
        process.nice(NICEST)
    with contextlib.suppress(OSError, psutil.Error, AttributeError):
        process.ionice(psutil.IOPRIO_CLASS_IDLE)
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO, encoding="ascii")
