"""The command that a person would type next."""

from __future__ import annotations

import shlex
from pathlib import Path


def next_command(artifact: Path, data: Path, out: Path) -> str:
    """After a fit: an evaluation where the set has labelled pictures, else a service."""
    if (data / "test").is_dir():
        return shlex.join(["mkd-train", "evaluate", str(artifact), str(data)])
    return shlex.join(["mkd-serve", "--artifacts", str(out)])
