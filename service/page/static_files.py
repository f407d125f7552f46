"""Reads the page's files from the package, once: path -> content, media type and entity tag.

The files lie below a folder that is named by a digest over all of them (`build`), so that a browser may keep each for
good and still shows a new release at once. The first document alone is asked for anew each time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable

MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
    "txt": "text/plain; charset=utf-8",
}
INDEX = "index.html"
STRINGS = "strings/"


@dataclass(frozen=True)
class StaticFile:
    """One file as it is sent."""

    content: bytes
    media_type: str
    tag: str


@dataclass(frozen=True)
class Page:
    """All files by their path below the build's folder, and the first document."""

    build: str
    files: dict[str, StaticFile]
    index: StaticFile


@lru_cache(maxsize=1)
def page() -> Page:
    """The page of this installation."""
    found = dict(sorted(_read(files(__package__) / "static", "")))
    build = hashlib.sha256(b"".join(path.encode() + b"\0" + content for path, content in found.items())).hexdigest()[
        :12
    ]
    languages = [path.removeprefix(STRINGS).removesuffix(".json") for path in found if path.startswith(STRINGS)]
    first = found.pop(INDEX).decode().replace("{{build}}", build).replace("{{languages}}", " ".join(languages))
    return Page(build, {path: _file(path, content) for path, content in found.items()}, _file(INDEX, first.encode()))


def _file(path: str, content: bytes) -> StaticFile:
    media_type = MEDIA_TYPES[path.rpartition(".")[2]]
    return StaticFile(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:16]}"')


def _read(folder: Traversable, path: str) -> list[tuple[str, bytes]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _read(entry, f"{path}{entry.name}/")
        else:
            found.append((f"{path}{entry.name}", entry.read_bytes()))
    return found
