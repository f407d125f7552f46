"""Remembers by which command and of which pictures the demo's artifact was made: a second demo need not train."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models import atomic_file
from models.artifact import ArtifactError, load_artifact
from models.version import service_version


@dataclass(frozen=True)
class MadeArtifact:
    """The artifact `path`, and the file `note_file` that says what it was made by of the pictures in `data`."""

    path: Path
    note_file: Path
    data: Path

    def by(self, command: Sequence[str]) -> bool:
        """Whether the artifact is there and whole, and was made by this command of these pictures."""
        try:
            noted = json.loads(self.note_file.read_bytes())
            return bool(noted == self._note(command, load_artifact(self.path).sha256))
        except (OSError, ValueError, ArtifactError):
            return False

    def note(self, command: Sequence[str]) -> None:
        """Writes down that it was."""
        found = self._note(command, load_artifact(self.path).sha256)
        atomic_file.write_text(self.note_file, json.dumps(found, indent=2) + "\n")

    def _note(self, command: Sequence[str], sha256: str) -> dict[str, object]:
        pictures = hashlib.sha256()
        for file in sorted((self.data / "train").rglob("*.png")):
            pictures.update(file.read_bytes())
        return {
            "command": list(command),
            "pictures": pictures.hexdigest(),
            "artifact": sha256,
            "mkdserve": service_version(),
        }
