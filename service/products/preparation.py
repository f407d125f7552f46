"""Has the other server processes of one parent prove a version before it is announced as the agreed one.

Without it the others would load and prove it when the first request for it meets them. Who proposes writes a file into
a folder that all processes share; the others answer by one of theirs. A process that has ended, or that does not answer
in time, is not waited for: it says not ready for that product until it has followed.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from models.atomic_file import write_text
from service.logs import event
from service.products.product import VersionKey

FOLDER = "preparation"
PATIENCE_S = 5.0  # for the slowest process
LOOK_S = 0.02


class Proposal(NamedTuple):
    """What another process is about to serve."""

    name: str  # of the proposal's file
    product: str
    folder: str


class Preparation:
    """One process's part in it. `shared` is on a local disk and the same for all processes; None for a process alone.

    `join` before the first proposal may come. All methods are best effort: trouble with the folder costs the others a
    later load, and nothing else.
    """

    def __init__(self, shared: Path | None) -> None:
        self._folder = shared / FOLDER if shared is not None else None
        self._id = secrets.token_hex(4)
        self._lock: int | None = None
        self._count = 0
        self._seen: set[str] = set()

    def join(self) -> None:
        """From now on proposals of others wait for this process."""
        if self._folder is None:
            return
        with suppress(OSError):
            self._folder.mkdir(exist_ok=True)
            lock = os.open(self._folder / f"peer-{self._id}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # goes with the process
            self._lock = lock

    def leave(self) -> None:
        """Nobody need wait for this process any more."""
        if self._folder is not None and self._lock is not None:
            (self._folder / f"peer-{self._id}").unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def propose(self, product: str, key: VersionKey, meanwhile: Callable[[], None]) -> None:
        """Wait until all other processes have tried to prove this version, at most PATIENCE_S.

        `meanwhile` is called again and again: it answers the proposals of those who propose at the same time.
        """
        if self._folder is None or self._lock is None:
            return
        self._count += 1
        name = f"ask-{self._id}-{self._count}"
        begun = time.monotonic()
        try:
            write_text(self._folder / name, json.dumps({"product": product, "folder": key.folder}))
            while waited_for := self._silent(name):
                if time.monotonic() - begun > PATIENCE_S:
                    event(
                        "version not prepared everywhere",
                        logging.WARNING,
                        product=product,
                        version=key.version,
                        by=len(waited_for),
                    )
                    break
                meanwhile()
                time.sleep(LOOK_S)
        except OSError as error:
            event("version not prepared", logging.WARNING, product=product, version=key.version, reason=str(error))
        finally:
            with suppress(OSError):
                for file in (self._folder / name, *self._folder.glob(f"done-{name}-*")):
                    file.unlink(missing_ok=True)

    def proposals(self) -> list[Proposal]:
        """Those of others that this process has not answered yet."""
        if self._folder is None or self._lock is None:
            return []
        try:
            present = {name for name in os.listdir(self._folder) if name.startswith("ask-")}
        except OSError:
            return []
        self._seen &= present
        found = []
        for name in sorted(present - self._seen):
            if name.split("-")[1] == self._id:
                continue
            with suppress(OSError, ValueError, KeyError):
                asked = json.loads((self._folder / name).read_bytes())
                found.append(Proposal(name, asked["product"], asked["folder"]))
        return found

    def answer(self, proposal: Proposal) -> None:
        """This process has done what it could."""
        assert self._folder is not None
        self._seen.add(proposal.name)
        with suppress(OSError):
            (self._folder / f"done-{proposal.name}-{self._id}").touch()

    def _silent(self, name: str) -> list[str]:
        """The living others that have not answered."""
        assert self._folder is not None
        peers = [file.name.removeprefix("peer-") for file in self._folder.glob("peer-*")]
        return [
            peer
            for peer in peers
            if peer != self._id and not (self._folder / f"done-{name}-{peer}").exists() and self._lives(peer)
        ]

    def _lives(self, peer: str) -> bool:
        assert self._folder is not None
        file = self._folder / f"peer-{peer}"
        try:
            lock = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        else:
            file.unlink(missing_ok=True)
            return False
        finally:
            os.close(lock)
