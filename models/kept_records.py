"""Keeps small facts that were found on this machine in the cache folder, one JSON file for each set of conditions.

A file is named after the SHA-256 of the conditions that its fact holds under and repeats them in words. One that
cannot be read, is damaged, or tells of other conditions counts as none: what it says is then found anew. All of the
files may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from models.atomic_file import write_text

FactT = TypeVar("FactT", bound=BaseModel)
MOST = 2000  # records of one kind; the oldest go first


class _File(BaseModel):
    conditions: str
    fact: str  # as JSON, so that the hash is of the bytes that are read
    sha256: str


class KeptRecords(Generic[FactT]):
    """Facts of one kind, in `folder`, which is made where it is not there.

    A folder that cannot be written costs the time of finding again, and nothing else: what could not be taken back
    there is not read, either.
    """

    def __init__(self, folder: Path, kind: type[FactT], most: int = MOST) -> None:
        self._folder = folder
        self._kind = kind
        self._most = most

    def find(self, conditions: str) -> FactT | None:
        """What was kept under exactly these conditions."""
        if not os.access(self._folder, os.W_OK):
            return None
        try:
            found = _File.model_validate_json(self._file(conditions).read_bytes())
            if found.conditions != conditions or found.sha256 != _digest(conditions, found.fact):
                return None
            return self._kind.model_validate_json(found.fact)
        except (OSError, ValidationError):
            return None

    def keep(self, conditions: str, fact: FactT) -> bool:
        """Keep it in place of what was there; whether that could be."""
        text = fact.model_dump_json()
        record = _File(conditions=conditions, fact=text, sha256=_digest(conditions, text))
        try:
            write_text(self._file(conditions), record.model_dump_json(indent=1) + "\n")
            self._drop_the_oldest()
        except OSError:
            return False
        return True

    def forget(self, conditions: str) -> None:
        """From now on there is none. Raises OSError where one cannot be removed that would still be found."""
        try:
            self._file(conditions).unlink(missing_ok=True)
        except OSError:  # of a folder that cannot be written nothing is read, so there is nothing to take back
            if self.find(conditions) is not None:
                raise

    def _drop_the_oldest(self) -> None:
        files = list(self._folder.glob("*.json"))
        if len(files) <= self._most:
            return
        with suppress(FileNotFoundError):  # another process does the same
            for file in sorted(files, key=lambda one: one.stat().st_mtime_ns)[: -self._most]:
                file.unlink(missing_ok=True)

    def _file(self, conditions: str) -> Path:
        return self._folder / f"{hashlib.sha256(conditions.encode()).hexdigest()}.json"


def _digest(conditions: str, fact: str) -> str:
    return hashlib.sha256(f"{conditions}\n{fact}".encode()).hexdigest()
