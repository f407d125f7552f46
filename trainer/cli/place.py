"""Decides which version of a product a command writes, and says what a service would serve afterwards.

OUT/PRODUCT/VERSION        VERSION is the one that was given, else the time
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from models.artifact import SUMS, ArtifactError, active_artifact
from models.names import NAME_IN_WORDS, NAME_PATTERN
from models.writing import NotWritable, require_writable
from trainer.stamp import stamp

STAMP = "%Y%m%d-%H%M%S"  # sorts as it counts, and above small numbers


@dataclass(frozen=True)
class Place:
    """Where an artifact goes: OUT/PRODUCT/VERSION."""

    out: Path
    product: str
    version: str

    @property
    def product_folder(self) -> Path:
        """The folder of all versions."""
        return self.out / self.product

    @property
    def path(self) -> Path:
        """The artifact's folder."""
        return self.product_folder / self.version

    def served_words(self) -> str:
        """What a service that is given OUT serves of this product, now that the artifact is there."""
        try:
            active = active_artifact(self.product_folder)
        except ArtifactError as error:
            return f"beware: {error}"
        if active.name == self.version:
            return f"a service serves this version of {self.product} from now on"
        return (
            f"beware: a service goes on with version {active.name} of {self.product}, which is pinned or counts higher "
            f"than {self.version}; POST /admin/products/{self.product}/activate with this version changes that"
        )


def place_of(out: Path, product: str, version: str, *, replace: bool) -> Place:
    """The place for a new version. Raises ValueError for names that are none, NotWritable for a place that is taken.

    Without `version` the time names it; two of one second get -2, -3 and so on.
    """
    check_names(product, version)
    folder = out / product
    if (folder / SUMS).exists():
        raise NotWritable(
            f"{folder} is a plain artifact, without versions: `mkd-train adopt {folder}` makes it the first version of "
            "its product; then say this again"
        )
    if version and (folder / version).exists() and not replace:
        raise NotWritable(f"{folder / version} is there already: give --replace, or another --version")
    require_writable(out, "--out")
    return Place(out, product, version or _free(folder))


def check_names(product: str, version: str) -> None:
    """Raises ValueError in words; an empty version is none."""
    for word, text in (("product", product), ("version", version or "v")):
        if not NAME_PATTERN.fullmatch(text):
            raise ValueError(f"the {word} {text!r} cannot be a name: {NAME_IN_WORDS}")


def _free(product: Path) -> str:
    return next(name for name in _names() if not (product / name).exists())


def _names() -> Iterator[str]:
    first = stamp().strftime(STAMP)
    yield first
    number = 2
    while True:
        yield f"{first}-{number}"
        number += 1
