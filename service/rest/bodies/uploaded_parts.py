"""Lays the files of a training out as its trainer reads them: a picture is a file, a part of several lights a folder.

Files come one by one, so what they are is known when all have come: parts, where most of their folders hold files of
the same few names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from models.imaging.channels import GROUP_NAME
from models.imaging.part_names import usual_names


class UploadedFile(NamedTuple):
    """A file that was kept, the folder in front of its name, and the name without its ending."""

    path: Path
    folder: str | None
    stem: str


def lay_out(root: Path, files: Sequence[UploadedFile]) -> int:
    """Moves the files of parts into a folder for each, named by their lights. How many pictures or parts there are.

    Raises OSError.
    """
    folders: dict[str, list[UploadedFile]] = {}
    for file in files:
        if file.folder is None:
            return len(files)
        folders.setdefault(file.folder, []).append(file)
    usual = usual_names([frozenset(file.stem.casefold() for file in part) for part in folders.values()])
    if usual is None or not all(re.fullmatch(GROUP_NAME, name) for name in usual):
        return len(files)
    for number, part in enumerate(folders.values()):
        place = root / f"part-{number:05}"
        place.mkdir()
        for count, file in enumerate(part):
            # A name that is no light's, or is there twice, is one that the trainer knows for neither.
            known = re.fullmatch(GROUP_NAME, file.stem) is not None
            target = place / f"{file.stem if known else f'file-{count}'}{file.path.suffix}"
            file.path.rename(target.with_stem(f"{target.stem}-{count}") if target.exists() else target)
    return len(folders)
