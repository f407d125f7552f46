"""What is known of one product: its versions on disk, the one that is served, and why others are not."""

from __future__ import annotations

from dataclasses import dataclass, field

from service.errors import ArtifactRefused, VersionNotFound
from service.products.artifact_folder import PLAIN, in_order
from service.products.head_cache import HeadCache
from service.products.pins import PinState
from service.products.product import ProductStatus, State, VersionKey

REMOVED = "its folder was removed; unload takes it off this list, a folder of that name brings it back"
FIRST_PAUSE_S, MOST_PAUSE_S = 2.0, 300.0


@dataclass
class ProductRecord:
    """One product. `known` and `refused` hold, per version folder, the fingerprint it had then.

    `own` is the version that this process would serve by what it has seen, `put_off` when a folder may be tried again
    that no device could take, and the pause before that.
    """

    name: str
    on_disk: dict[str, str] = field(default_factory=dict)
    active: VersionKey | None = None
    previous: VersionKey | None = None
    standby: VersionKey | None = None
    own: VersionKey | None = None
    behind_since: float | None = None
    known: dict[str, tuple[str, VersionKey]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    put_off: dict[str, tuple[float, float]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    note: str | None = None

    @property
    def versions(self) -> list[str]:
        """The numbered ones on disk, lowest first."""
        return in_order([folder for folder in self.on_disk if folder != PLAIN])

    def seen(self, on_disk: dict[str, str]) -> None:
        """Take over what the folder holds now; problems of what has left go with it."""
        self.on_disk = on_disk
        for folder in self.problems.keys() - on_disk.keys():
            del self.problems[folder]
        if not on_disk:
            self.problems[PLAIN] = REMOVED

    def candidates(self, pin: str | None) -> list[str]:
        """The folders to serve from, best first; none where the pinned one is not there."""
        if pin is None:
            return in_order(list(self.on_disk))[::-1]
        if pin not in self.on_disk:
            self.problems[pin] = "is pinned and not in the folder"
            return []
        return [pin]

    def is_as_loaded(self, folder: str) -> bool:
        """Whether the active version came from this folder, whose files are still the same."""
        return self.active is not None and self.known.get(folder) == (self.on_disk.get(folder), self.active)

    def may_try(self, folder: str, now: float) -> bool:
        """Not what was refused with the same files, nor what a device could not take a moment ago."""
        if self.refused.get(folder) == self.on_disk[folder]:
            return False
        return now >= self.put_off.get(folder, (now, 0.0))[0]

    def try_later(self, folder: str, now: float, reason: str) -> None:
        """No device could take it just now, which may be due to the artifact: each pause is twice the last one."""
        pause = min(MOST_PAUSE_S, 2 * self.put_off[folder][1] if folder in self.put_off else FIRST_PAUSE_S)
        self.put_off[folder] = (now + pause, pause)
        self.problems[folder] = reason

    def loaded(self, folder: str, key: VersionKey) -> None:
        """It was read and proven."""
        self.known[folder] = (self.on_disk[folder], key)
        for trouble in (self.refused, self.problems, self.put_off):
            trouble.pop(folder, None)

    def folder(self, version: str) -> str:
        """The folder of a version that an operator names. Raises VersionNotFound, which lists what there is."""
        if version in self.on_disk:
            return version
        plain = self.known.get(PLAIN)
        if PLAIN in self.on_disk and plain is not None and plain[1].version == version:
            return PLAIN
        there = ", ".join(self.versions) or "a single one, in the product's own folder"
        raise VersionNotFound(f"version {version[:64]!r} of {self.name}; there are: {there}")

    def version_before(self, decision: PinState) -> str:
        """Where a rollback leads: to what was active before, else one down.

        Raises ArtifactRefused where its folder is gone, VersionNotFound where there is none.
        """
        asked = self.previous.folder if self.previous else decision.previous
        versions = self.versions
        if asked in versions:
            return str(asked)
        if asked:
            raise ArtifactRefused(f"version {asked} of {self.name}, which was active before, is not in the folder")
        active = self.active.folder if self.active else None
        if active in versions and versions.index(active) > 0:
            return versions[versions.index(active) - 1]
        raise VersionNotFound(f"{self.name} has no version before the present one; activate names one")

    def status(self, decision: PinState, head_cache: HeadCache, note: str | None) -> ProductStatus:
        active = self.active
        leases, size = head_cache.usage(self.name)
        state: State = "unloaded" if decision.unloaded else "refused"
        if active is not None:
            state = "served" if head_cache.holds(active) else "resting"
        elif state == "refused" and not self.problems.keys() >= ({decision.pin} if decision.pin else {*self.on_disk}):
            state = "loading"  # of those that may be served, one has not been tried
        return ProductStatus(
            name=self.name,
            state=state,
            version=active.version if active else None,
            method=active.method if active else None,
            hash=active.hash if active else None,
            versions=tuple(self.versions),
            pinned=decision.pin,
            previous=self.previous.version if self.previous else decision.previous,
            leases=leases,
            head_bytes=size,
            problems=dict(self.problems),
            doubts=active.doubts if active else (),
            note=self.note or note,
        )
