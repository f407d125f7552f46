"""Looks whether a folder can be written before hours of work go into what would be written there."""

from __future__ import annotations

import os
from pathlib import Path


class NotWritable(Exception):
    """What was to be written cannot be, or is there already; the text says what would be right."""


def require_writable(folder: Path, flag: str) -> None:
    """Raises NotWritable where `folder`, given by `flag`, is a file or can be neither written nor made."""
    above = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not above.is_dir():
        raise NotWritable(f"{folder}: {above} is a file and no folder; give {flag} another folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise NotWritable(f"{folder}: {above} cannot be written to; give {flag} a folder that can")
