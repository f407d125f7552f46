"""What is known of one product: its versions on disk, the one that is served, and why others are not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from service.errors import VersionNotFound
from service.products.catalogue import PLAIN, in_order
from service.products.head_cache import HeadCache, Key
from service.products.pins import Decision
from service.products.product import ProductStatus, ProductVersion, State


class Active(NamedTuple):
    """A version that is or was served; its head may have left memory since."""

    key: Key
    version: str
    method: str


@dataclass
class ProductRecord:
    """One product. `known` and `refused` hold, per version folder, the fingerprint it had then."""

    name: str
    on_disk: dict[str, str] = field(default_factory=dict)
    active: Active | None = None
    previous: Active | None = None
    standby: Key | None = None
    known: dict[str, tuple[str, Active]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def versions(self) -> list[str]:
        """The numbered ones on disk, lowest first."""
        return in_order([folder for folder in self.on_disk if folder != PLAIN])

    def folder(self, version: str) -> str:
        """The folder of a version that an operator names. Raises VersionNotFound, which lists what there is."""
        if version in self.on_disk:
            return version
        plain = self.known.get(PLAIN)
        if PLAIN in self.on_disk and plain is not None and plain[1].version == version:
            return PLAIN
        there = ", ".join(self.versions) or "a single one, in the product's own folder"
        raise VersionNotFound(f"version {version[:64]!r} of {self.name}; there are: {there}")

    def version_before(self, decision: Decision) -> str:
        """Where a rollback leads: to what was active before, else one down. Raises VersionNotFound."""
        asked = self.previous.key.folder if self.previous else decision.previous
        versions = self.versions
        if asked in versions:
            return str(asked)
        active = self.active.key.folder if self.active else None
        if active in versions and versions.index(active) > 0:
            return versions[versions.index(active) - 1]
        raise VersionNotFound(f"{self.name} has no version before the present one; activate names one")

    def status(self, decision: Decision, head_cache: HeadCache) -> ProductStatus:
        active = self.active
        leases, size = head_cache.usage(self.name)
        state: State = "unloaded" if decision.unloaded else "refused"
        if active is not None:
            state = "served" if head_cache.holds(active.key) else "resting"
        return ProductStatus(
            name=self.name,
            state=state,
            version=active.version if active else None,
            method=active.method if active else None,
            hash=active.key.hash if active else None,
            versions=tuple(self.versions),
            pinned=decision.pin,
            previous=self.previous.version if self.previous else decision.previous,
            leases=leases,
            head_bytes=size,
            problems=dict(self.problems),
        )


def active_of(loaded: ProductVersion) -> Active:
    return Active(Key(loaded.name, loaded.folder, loaded.hash), loaded.version, loaded.method)
