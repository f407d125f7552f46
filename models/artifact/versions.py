"""Finds the artifact that a folder means: itself, or the version of a product that a service would serve.

NAME/manifest.json             a plain artifact
NAME/VERSION/manifest.json     a product with versions: the pinned one, else the highest as people count
"""

from __future__ import annotations

import difflib
import json
from pathlib import Path

from natsort import natsorted

from models.artifact.manifest import MANIFEST, ArtifactError
from models.names import is_name
from models.state_file import STATE_FILE

SHOWN = 5


def active_artifact(path: Path) -> Path:
    """The artifact's folder. Raises ArtifactError in words where there is none."""
    if (path / MANIFEST).is_file():
        return path
    if not path.is_dir():
        raise ArtifactError(path, f"there is no such folder{_beside(path)}")
    versions = _artifacts_in(path)
    if not versions:
        products = [
            each.name for each in path.iterdir() if is_name(each.name) and each.is_dir() and _artifacts_in(each)
        ]
        hint = f"; it holds the products {', '.join(sorted(products))}: name one" if products else ""
        raise ArtifactError(path, f"neither an artifact (no {MANIFEST}) nor a product with versions in it{hint}")
    pinned = _pinned(path)
    if pinned is not None and pinned not in versions:
        raise ArtifactError(
            path, f"its pinned version {pinned} is not there; name one: {', '.join(natsorted(versions))}"
        )
    return path / (pinned or natsorted(versions)[-1])


def _artifacts_in(path: Path) -> list[str]:
    return [each.name for each in path.iterdir() if is_name(each.name) and (each / MANIFEST).is_file()]


def _products_in(path: Path) -> list[str]:
    return sorted(each.name for each in path.iterdir() if is_name(each.name) and each.is_dir() and _artifacts_in(each))


def _beside(path: Path) -> str:
    """What a mistyped version or product could have meant: the nearest beside it, else the last of all."""
    if not path.parent.is_dir():
        return ""
    there = natsorted(_artifacts_in(path.parent)) or _products_in(path.parent)
    near = difflib.get_close_matches(path.name, there, 1)
    return f"; {path.parent} has {', '.join(near or there[-SHOWN:])}" if there else ""


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
