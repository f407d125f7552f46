"""Reads the page's files from the package, once: path -> content, media type and entity tag.

The files lie below a folder that is named by a digest over all of them (`build`), so that a browser may keep each for
good and still shows a new release at once. The first document alone is asked for anew each time.
"""

from __future__ import annotations

import hashlib
import html
import json
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
OTHER_SCRIPTS = ("js/start.js", "js/events/worker.js")  # that the page's own modules do not import
START_WORDS = ("start.connecting", "start.failed", "state.again")  # there before any file of words has come


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
    strings = {
        path.removeprefix(STRINGS).removesuffix(".json"): json.loads(content)
        for path, content in found.items()
        if path.startswith(STRINGS)
    }
    first = found.pop(INDEX).decode()
    for name, text in (
        ("modules", "\n".join(map(_preload, filter(_is_module, found)))),
        ("start", _start_words(strings)),
        ("languages", " ".join(strings)),
        ("build", build),
    ):
        first = first.replace(f"{{{{{name}}}}}", text)
    return Page(build, {path: _file(path, content) for path, content in found.items()}, _file(INDEX, first.encode()))


def _is_module(path: str) -> bool:
    return path.endswith(".js") and path not in OTHER_SCRIPTS


def _preload(path: str) -> str:
    """Modules name each other; without this the browser learns of the last ones after four round trips."""
    return f'<link rel="modulepreload" href="{{{{build}}}}/{path}">'


def _start_words(strings: dict[str, dict[str, str]]) -> str:
    """What the first document says before any file of words has come, as JSON for an attribute."""
    words = {language: {key: texts[key] for key in START_WORDS} for language, texts in strings.items()}
    return html.escape(json.dumps(words, ensure_ascii=False))


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
