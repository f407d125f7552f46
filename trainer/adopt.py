"""Makes a plain artifact the first version of its product, so that further ones can stand beside it.

NAME/manifest.json  ->  NAME/VERSION/manifest.json         every byte as it was, and so the same hash
"""

from __future__ import annotations

import shutil
from pathlib import Path

from models import atomic_file
from models.artifact import MANIFEST, ArtifactError, ArtifactNotWritten, load_artifact


def adopt(path: Path, version: str = "") -> Path:
    """The folder of the version, named as its manifest names it unless `version` is given.

    It is copied beside its place, checked there and renamed. Raises ArtifactError where `path` is no plain artifact or
    the copy is not whole; `path` is untouched then.
    """
    if not (path / MANIFEST).is_file():
        holds = any((each / MANIFEST).is_file() for each in path.iterdir()) if path.is_dir() else False
        raise ArtifactError(path, "has versions already" if holds else f"is no artifact: it has no {MANIFEST}")
    path = path.resolve()  # a link to an artifact elsewhere: that is what changes
    version = version or load_artifact(path).manifest.version
    try:
        with atomic_file.replace_folder(path) as beside:
            shutil.copytree(path, beside / version)
            load_artifact(beside / version)
    except OSError as error:
        raise ArtifactNotWritten(path, f"cannot be written: {error.strerror or error}") from error
    return path / version
