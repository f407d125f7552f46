"""Keeps the result files of a study: one JSON for each run, named by its fingerprint."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models import atomic_file

Result = dict[str, Any]


class Results:
    """The folder of results. Several processes may work on one study: each run is taken by one of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def read(self, fingerprint: str) -> Result | None:
        """The result of that run, or None where it has not been run (or its file is damaged: then it is run anew)."""
        try:
            found: Result = json.loads(self._file(fingerprint).read_text())
        except (OSError, ValueError):
            return None
        return found if found.get("fingerprint") == fingerprint else None

    def write(self, fingerprint: str, result: Result) -> None:
        """Writes the file whole or not at all."""
        text = json.dumps({**result, "fingerprint": fingerprint}, indent=1, allow_nan=False)
        atomic_file.write_text(self._file(fingerprint), text)

    @contextmanager
    def taken(self, fingerprint: str) -> Iterator[bool]:
        """Whether this process may run it now; the lock ends with the process, however it ends."""
        lock = self._folder / f".{fingerprint}.lock"
        with lock.open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            try:
                yield True
            finally:
                lock.unlink(missing_ok=True)

    def _file(self, fingerprint: str) -> Path:
        return self._folder / f"{fingerprint}.json"
