"""Looks whether a folder can be written before hours of work go into what would be written there."""

from __future__ import annotations

import os
from pathlib import Path


class NotWritable(Exception):
    """What was to be written cannot be, or is there already; the text says what would be right."""


def require_writable(folder: Path, flag: str) -> None:
    """Raises NotWritable where `folder`, given by `flag`, is a file or can be neither written nor made."""
    if (reason := why_not_writable(folder)) is not None:
        raise NotWritable(f"{folder}: {reason}; give {flag} another folder")


def why_not_writable(folder: Path) -> str | None:
    """What keeps `folder` from being written, or from being made where it is not there; None where nothing does."""
    above = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not above.is_dir():
        return f"{above} is a file and no folder"
    return None if os.access(above, os.W_OK | os.X_OK) else f"{above} cannot be written to"
