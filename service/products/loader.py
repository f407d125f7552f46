"""The folder of an artifact in, a proven product version out, or the reason why it is refused."""

from __future__ import annotations

from collections.abc import Callable

from models.artifact import Artifact, ArtifactError, load_artifact
from service.errors import ServiceError
from service.metrics import Metrics
from service.products.catalogue import PLAIN, Catalogue
from service.products.product import ProductVersion


class RefusedError(Exception):
    """This artifact cannot be served. `by_device`: it may be sound, but no device could run it."""

    def __init__(self, reason: str, *, by_device: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.by_device = by_device


class Loader:
    """Reads artifacts and has them proven, each content once. Called from the registry's threads only."""

    def __init__(self, catalogue: Catalogue, validate: Callable[[Artifact], None], metrics: Metrics) -> None:
        self._catalogue = catalogue
        self._validate = validate
        self._metrics = metrics
        self._validated: set[str] = set()

    def bring(self, name: str, folder: str) -> ProductVersion:
        """Load, verify and warm up. Raises RefusedError with the reason; ServiceError (NotReady) is for another try."""
        try:
            artifact = load_artifact(self._catalogue.path(name, folder))
            if artifact.sha256 not in self._validated:
                self._validate(artifact)
                self._validated.add(artifact.sha256)
        except ArtifactError as error:
            self._count("refused")
            raise RefusedError(self._without_root(str(error)), by_device=False) from error
        except ServiceError:
            self._count("failed")
            raise
        except Exception as error:
            self._count("failed")
            raise RefusedError(f"{type(error).__name__}: {self._without_root(str(error))}", by_device=True) from error
        self._count("ok")
        label = artifact.manifest.version if folder == PLAIN else folder
        return ProductVersion(name, folder, label, artifact.sha256, artifact)

    def _without_root(self, text: str) -> str:
        """Callers see reasons, but need not see where this machine keeps its files."""
        return text.replace(f"{self._catalogue.root}/", "")

    def _count(self, outcome: str) -> None:
        self._metrics.counter("mkd_head_loads_total", outcome=outcome).inc()
