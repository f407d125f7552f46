"""Reads the folder of artifacts: which products and versions lie in it, whether they have changed, and each as loaded.

Trouble with the folder never takes a product away: what cannot be read now counts as it was. A folder that is not there
while its neighbours can be read is taken as removed once it has been away for a stated time.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

from natsort import natsorted

from models.artifact import MANIFEST, Artifact, ArtifactError, load_artifact
from models.names import is_name
from service.errors import ServiceError
from service.logs import event
from service.metrics import Metrics
from service.products.product import ProductVersion
from service.products.soundness import check_numbers

PLAIN = ""  # the version folder of an artifact that lies in NAME/ itself
LAYOUT = "artifacts lie in NAME/ or NAME/VERSION/, each with its manifest.json"
Found = dict[str, dict[str, str]]  # product -> version folder -> fingerprint


class RefusedError(Exception):
    """This artifact cannot be served, and why; others can."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ArtifactFolder:
    """`NAME/manifest.json` (plain) or `NAME/VERSION/manifest.json`, as many as there are, below `root`.

    `look` is for one thread; `load` may be called from several. `validate` proves an artifact on the devices, each
    content once, and says which golden pictures it judged. `trouble` says in words what is wrong with the folder as a
    whole, None where nothing is.
    """

    def __init__(
        self,
        root: Path,
        validate: Callable[[Artifact], str | None],
        metrics: Metrics,
        *,
        grace_s: float,
        clock: Callable[[], float],
    ) -> None:
        self.root = root
        self.trouble: str | None = None
        self._validate = validate
        self._metrics = metrics
        self._grace_s = grace_s
        self._clock = clock
        self._validated: dict[str, str | None] = {}  # by hash: which golden pictures were judged
        self._before: Found = {}
        self._missing: dict[tuple[str, str], float] = {}  # since when; on the service's clock

    def look(self) -> Found:
        """Names and versions, each with a fingerprint that changes when any of its files does."""
        try:
            names = _folders(self.root)
        except OSError as error:
            return self._unchanged(f"{self.root}: {_in_words(error)}")
        seen: Found = {}
        troubles = []
        for name in names:
            try:
                versions = _versions(self.root / name)
            except OSError as error:
                troubles.append(f"{self.root / name}: {_in_words(error)}")
                versions = self._before.get(name, {})
            if versions:
                seen[name] = versions
        if not seen and not troubles:
            return self._unchanged(f"{self.root}: {self._why_empty()}")
        self._tell("; ".join(troubles) or None)
        self._before = self._with_the_missing(seen)
        return {name: dict(versions) for name, versions in self._before.items()}

    def load(self, name: str, folder: str) -> ProductVersion:
        """Load, verify and warm up. Raises RefusedError with the reason; ServiceError (NotReady) is for another try."""
        try:
            artifact = load_artifact(self.path(name, folder))
            check_numbers(artifact)
            version = ProductVersion(name, folder, folder or artifact.manifest.version, artifact.sha256, artifact)
            version.check()
            if artifact.sha256 not in self._validated:
                self._validated[artifact.sha256] = self._validate(artifact)
        except ServiceError:
            self._count("failed")
            raise
        except ArtifactError as error:
            self._count("refused")
            raise RefusedError(self._without_root(str(error))) from error
        except Exception as error:  # whatever it is, it came with this artifact: the others are served
            self._count("failed")
            raise RefusedError(f"{type(error).__name__}: {self._without_root(str(error))}") from error
        self._count("ok")
        return version

    def golden_check(self, sha256: str) -> str | None:
        """Which golden pictures of the artifact with that hash were judged here, in words."""
        return self._validated.get(sha256)

    def path(self, name: str, folder: str) -> Path:
        """The artifact's folder. Raises ValueError for names that could lead elsewhere."""
        if not is_name(name) or (folder != PLAIN and not is_name(folder)):
            raise ValueError(f"{name}/{folder} is not a product's folder")
        return self.root / name / folder if folder else self.root / name

    def is_there(self, name: str, folder: str) -> bool:
        """Whether the artifact lies on the disk at this moment."""
        try:
            return (self.path(name, folder) / MANIFEST).is_file()
        except OSError:
            return False

    def _unchanged(self, trouble: str) -> Found:
        self._tell(trouble)
        return {name: dict(versions) for name, versions in self._before.items()}

    def _tell(self, trouble: str | None) -> None:
        if trouble is not None and trouble != self.trouble:
            event("artifact folder", logging.ERROR, reason=trouble, still_served=len(self._before))
        if trouble is None and self.trouble is not None:
            event("artifact folder can be read again", folder=str(self.root))
        self.trouble = trouble
        self._metrics.gauge("mkd_artifact_folder_unreadable").set(int(trouble is not None))

    def _why_empty(self) -> str:
        if (self.root / MANIFEST).exists():
            return "is an artifact itself; name the folder that holds the products"
        return f"holds no product; {LAYOUT}"

    def _with_the_missing(self, seen: Found) -> Found:
        """`seen`, and what is missing from it for less than the grace: a folder that is being replaced is away, too."""
        missing: dict[tuple[str, str], float] = {}
        for name, versions in self._before.items():
            for folder, fingerprint in versions.items():
                if folder in seen.get(name, {}):
                    continue
                since = self._missing.get((name, folder))
                if since is not None and self._clock() - since >= self._grace_s:
                    event("artifact removed", logging.WARNING, product=name, version=folder, after_s=self._grace_s)
                    continue
                if since is None:
                    event("artifact missing", logging.WARNING, product=name, version=folder, grace_s=self._grace_s)
                missing[name, folder] = self._clock() if since is None else since
                seen.setdefault(name, {})[folder] = fingerprint
        self._missing = missing
        return seen

    def _without_root(self, text: str) -> str:
        """Callers see reasons, but need not see where this machine keeps its files."""
        return text.replace(f"{self.root}/", "")

    def _count(self, outcome: str) -> None:
        self._metrics.counter("mkd_head_loads_total", outcome=outcome).inc()


def in_order(versions: list[str]) -> list[str]:
    """Lowest first, as people count: v9 before v10, 1.9 before 1.10."""
    return list(natsorted(versions))


def _versions(product: Path) -> dict[str, str]:
    if (product / MANIFEST).is_file():
        return {PLAIN: _fingerprint(product)}
    return {
        folder: _fingerprint(product / folder)
        for folder in _folders(product)
        if (product / folder / MANIFEST).is_file()
    }


def _folders(path: Path) -> list[str]:
    with os.scandir(path) as entries:
        return sorted(entry.name for entry in entries if is_name(entry.name) and entry.is_dir())


def _fingerprint(path: Path) -> str:
    facts: list[str] = []
    for folder, _, files in os.walk(path, onerror=_unless_it_left):
        for name in files:
            file = Path(folder, name)
            try:
                stat = file.stat()
            except FileNotFoundError:
                continue
            facts.append(f"{file.relative_to(path)} {stat.st_size} {stat.st_mtime_ns} {stat.st_ino}")
    return hashlib.sha256("\n".join(sorted(facts)).encode()).hexdigest()


def _unless_it_left(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _in_words(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such folder"
    if isinstance(error, NotADirectoryError):
        return "is not a folder"
    return f"cannot be read: {error.strerror or error}"
