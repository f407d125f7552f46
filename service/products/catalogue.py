"""A folder in, which products and versions lie in it and whether they have changed out. Reads names and sizes only."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from models.artifact import MANIFEST
from models.names import is_name

PLAIN = ""  # the version folder of an artifact that lies in NAME/ itself
Found = dict[str, dict[str, str]]  # product -> version folder -> fingerprint


class Catalogue:
    """What a folder of artifacts holds: `NAME/manifest.json` (plain) or `NAME/VERSION/manifest.json`.

    A folder that is being replaced is away for a moment between two renames, so one is taken as gone only when two
    looks in a row have missed it. Used by one thread.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._before: Found = {}
        self._missed: set[tuple[str, str]] = set()

    def look(self) -> Found:
        """Names and versions there now, each with a fingerprint that changes when any of its files does."""
        seen = self._read()
        missed: set[tuple[str, str]] = set()
        for name, versions in self._before.items():
            for folder, fingerprint in versions.items():
                if folder not in seen.get(name, {}) and (name, folder) not in self._missed:
                    missed.add((name, folder))
                    seen.setdefault(name, {})[folder] = fingerprint
        self._before, self._missed = seen, missed
        return {name: dict(versions) for name, versions in seen.items()}

    def path(self, name: str, folder: str) -> Path:
        """The artifact's folder. Raises ValueError for names that could lead elsewhere."""
        if not is_name(name) or (folder != PLAIN and not is_name(folder)):
            raise ValueError(f"{name}/{folder} is not a product's folder")
        return self.root / name / folder if folder else self.root / name

    def _read(self) -> Found:
        found: Found = {}
        for name in _folders(self.root):
            if (self.root / name / MANIFEST).is_file():
                found[name] = {PLAIN: _fingerprint(self.root / name)}
                continue
            versions = {
                folder: _fingerprint(self.root / name / folder)
                for folder in _folders(self.root / name)
                if (self.root / name / folder / MANIFEST).is_file()
            }
            if versions:
                found[name] = versions
        return found


def in_order(versions: list[str]) -> list[str]:
    """Lowest first, as people count: v9 before v10, 1.9 before 1.10."""
    return sorted(versions, key=_natural)


def _natural(text: str) -> list[tuple[int, int, str]]:
    parts = re.findall(r"[0-9]+|[^0-9]+", text)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def _folders(path: Path) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if is_name(entry.name) and entry.is_dir())
    except OSError:  # not there, or replaced just now
        return []


def _fingerprint(path: Path) -> str:
    facts: list[str] = []
    for folder, _, files in os.walk(path):
        for name in files:
            file = Path(folder, name)
            try:
                stat = file.stat()
            except OSError:
                continue
            facts.append(f"{file.relative_to(path)} {stat.st_size} {stat.st_mtime_ns} {stat.st_ino}")
    return hashlib.sha256("\n".join(sorted(facts)).encode()).hexdigest()
