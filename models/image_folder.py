"""Lists the image files of a folder by one rule for trainer and mkd-score, and says what the rule passes over.

- A file counts by its ending (`models.names.IMAGE_SUFFIXES`, in any case); what it is, its content decides later.
- Hidden files and folders are passed over, and not told of.
- A link to a file counts as that file. A link that leads nowhere counts, too: whoever reads it says that it cannot.
- A link to a folder is passed over: it may lead in a circle, or to pictures of something else.
- Subfolders are looked into or not, as the caller asks. Either way what lies in them is told.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from models.names import IMAGE_SUFFIXES

Reason = Literal["subfolder", "linked_folder", "unreadable_folder", "other_ending", "no_file"]
WORDS: Mapping[Reason, str] = {
    "subfolder": "images in subfolders",
    "linked_folder": "links to folders",
    "unreadable_folder": "folders that cannot be read",
    "other_ending": "files with other endings than an image's",
    "no_file": "pipes, sockets or devices",
}
NAMED = 3  # names that are told of each reason


class FolderContents(NamedTuple):
    """`images` as paths from the folder on, with / between names, by name; `passed_over` likewise by reason."""

    images: tuple[str, ...]
    passed_over: Mapping[Reason, tuple[str, ...]]


def list_images(folder: Path, *, subfolders: bool) -> FolderContents:
    """Looks at names alone and opens no file. A folder that cannot be read is named in `passed_over`."""
    images: list[str] = []
    passed: dict[Reason, list[str]] = {reason: [] for reason in WORDS}

    def unreadable(error: OSError) -> None:
        passed["unreadable_folder"].append(_relative(error.filename, folder))

    for place, folders, files in os.walk(folder, onerror=unreadable):
        linked = {name for name in folders if name[0] != "." and os.path.islink(os.path.join(place, name))}
        passed["linked_folder"] += (_relative(os.path.join(place, name), folder) for name in linked)
        folders[:] = [name for name in folders if name[0] != "." and name not in linked]
        inside = place == os.fspath(folder)
        for name in files:
            path = os.path.join(place, name)
            if name[0] == ".":
                continue
            if os.path.splitext(name)[1].lower() not in IMAGE_SUFFIXES:
                where: list[str] = passed["other_ending"] if inside or subfolders else []
            elif os.path.exists(path) and not os.path.isfile(path):
                where = passed["no_file"]
            else:
                where = images if inside or subfolders else passed["subfolder"]
            where.append(_relative(path, folder))
    return FolderContents(
        tuple(sorted(images)), {reason: tuple(sorted(names)) for reason, names in passed.items() if names}
    )


def passed_over_words(passed_over: Mapping[Reason, Iterable[str]]) -> list[str]:
    """One line for each reason: how many, and the first names."""
    lines = []
    for reason, names in passed_over.items():
        told = list(names)
        more = f" and {len(told) - NAMED} more" if len(told) > NAMED else ""
        lines.append(f"passed over: {len(told)} {WORDS[reason]}: {', '.join(told[:NAMED])}{more}")
    return lines


def _relative(path: str, folder: Path) -> str:
    return os.path.relpath(path, folder).replace(os.sep, "/")
