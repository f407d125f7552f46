"""The time that an artifact is stamped with."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime


def stamp() -> datetime:
    """Now in UTC, or what SOURCE_DATE_EPOCH says, by which an artifact is repeatable (reproducible-builds.org)."""
    return datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())), UTC)
