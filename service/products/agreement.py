"""Keeps the server processes of one parent at one version of each product, by a file and a number that they share.

A process that takes a product to another version says so here before it answers by it. The others see at their next
request that the generation has changed, and answer for that product again once they serve the version that was agreed.
"""

from __future__ import annotations

import json
import mmap
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from filelock import FileLock

from models.atomic_file import write_text

if TYPE_CHECKING:  # the parent of several processes has this module, and no torch
    from service.products.product import VersionKey

COUNTER, FILE, LOCK = "generation", "agreed.json", "agreed.lock"
NUMBER = struct.Struct("<Q")
LOCK_S = 10.0


class Agreed(NamedTuple):
    """One product: since which generation it is served by which folder with which contents; None for not at all."""

    generation: int
    folder: str | None
    hash: str | None

    def is_for(self, key: VersionKey | None) -> bool:
        """Whether this is what is agreed: `key`, or for None that the product is not served."""
        return (self.folder, self.hash) == ((key.folder, key.hash) if key is not None else (None, None))


class Agreement:
    """One process's view of it. `folder` is on a local disk and the same for all processes; None for a process alone.

    `of` costs a few microseconds, so every request may ask. Thread-safe.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._agreed: Mapping[str, Agreed] = {}
        self._read_at = 0
        self._shared: mmap.mmap | None = None
        if folder is not None:
            with (folder / COUNTER).open("r+b") as counter:
                self._shared = mmap.mmap(counter.fileno(), NUMBER.size)

    @staticmethod
    def begin(folder: Path) -> None:
        """Made by the parent, before there is any process."""
        (folder / COUNTER).write_bytes(NUMBER.pack(0))

    @property
    def with_others(self) -> bool:
        """Whether there are other processes to agree with."""
        return self._folder is not None

    def of(self, product: str) -> Agreed | None:
        """What is agreed now; None where nobody has said anything yet, or where there is nobody else."""
        return self._now().get(product)

    def served(self) -> list[str]:
        """The products of which some version is agreed."""
        return [name for name, agreed in self._now().items() if agreed.folder is not None]

    def publish(self, product: str, key: VersionKey | None) -> None:
        """From now on this version of the product is the agreed one. Raises OSError."""
        before = self.of(product)
        if self._folder is None or self._shared is None or (before is not None and before.is_for(key)):
            return
        with FileLock(self._folder / LOCK, timeout=LOCK_S):
            agreed = dict(self._read())
            now = agreed.get(product)
            if now is not None and now.is_for(key):
                return
            generation = NUMBER.unpack_from(self._shared)[0] + 1
            agreed[product] = Agreed(generation, *((key.folder, key.hash) if key is not None else (None, None)))
            write_text(self._folder / FILE, json.dumps(agreed))
            NUMBER.pack_into(self._shared, 0, generation)

    def _now(self) -> Mapping[str, Agreed]:
        if self._shared is None:
            return {}
        generation = NUMBER.unpack_from(self._shared)[0]
        if generation != self._read_at:
            self._agreed, self._read_at = self._read(), generation
        return self._agreed

    def _read(self) -> Mapping[str, Agreed]:
        assert self._folder is not None
        try:
            found = json.loads((self._folder / FILE).read_bytes())
        except FileNotFoundError:
            return {}
        return {name: Agreed(*entry) for name, entry in found.items()}
