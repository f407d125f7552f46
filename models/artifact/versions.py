"""Finds the artifact that a folder means: itself, or the version of a product that a service would serve.

NAME/manifest.json             a plain artifact
NAME/VERSION/manifest.json     a product with versions: the pinned one, else the highest as people count
"""

from __future__ import annotations

import json
from pathlib import Path

from natsort import natsorted

from models.artifact.manifest import MANIFEST, ArtifactError
from models.names import is_name
from models.state_file import STATE_FILE


def active_artifact(path: Path) -> Path:
    """The artifact's folder. Raises ArtifactError in words where there is none."""
    if (path / MANIFEST).is_file():
        return path
    if not path.is_dir():
        raise ArtifactError(path, "there is no such folder")
    versions = [each.name for each in path.iterdir() if is_name(each.name) and (each / MANIFEST).is_file()]
    if not versions:
        raise ArtifactError(path, f"neither an artifact (no {MANIFEST}) nor a product with versions in it")
    pinned = _pinned(path)
    if pinned in versions:
        return path / pinned
    return path / natsorted(versions)[-1]


def _pinned(product: Path) -> str | None:
    """What the state file beside the product says; a file that cannot be understood pins nothing."""
    try:
        state = json.loads((product.resolve().parent / STATE_FILE).read_text())
        pin = state["products"][product.resolve().name]["pin"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pin if isinstance(pin, str) else None
