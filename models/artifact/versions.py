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
    if pinned is not None and pinned not in versions:
        raise ArtifactError(
            path, f"its pinned version {pinned} is not there; name one: {', '.join(natsorted(versions))}"
        )
    return path / (pinned or natsorted(versions)[-1])


def _pinned(product: Path) -> str | None:
    """What the state file beside the product says; None where nothing is pinned. Raises ArtifactError if unreadable."""
    product = product.resolve()
    file = product.parent / STATE_FILE
    try:
        pin = json.loads(file.read_bytes())["products"].get(product.name, {}).get("pin")
        if pin is None or is_name(pin):
            return None if pin is None else str(pin)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(file, f"cannot be understood ({error}); name a version, as {product.name}/1") from error
    raise ArtifactError(file, f"pins what is no version: {pin!r}; name a version, as {product.name}/1")
