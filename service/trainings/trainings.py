"""Begins, stops and activates trainings, one at a time over all server processes of one machine."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from models.artifact.manifest import MANIFEST
from models.atomic_file import replace_folder
from models.writing import why_not_writable
from service.errors import DiskFull, TrainingNotFound, TrainingNotReady, TrainingRefused, TrainingsOff
from service.logs import event
from service.trainings.all_folders import AllFolders
from service.trainings.child import TrainingOptions, check_installed, start
from service.trainings.folder import TrainingFolder
from service.trainings.lock import Claim, claim
from service.trainings.record import TrainingRecord

SPARE_BYTES = 256 << 20  # of the disk, left to the artifacts, the audit trail and the trainer's own files
STOPPED_WITHIN_S = 15.0
LOOK_EVERY_S = 0.1
# How long the lock is waited for: what holds it may be a look at it, or a training that is over and about to let go,
# which takes a while at its low priority on a busy machine.
A_LOOK_S, ITS_END_S = 0.2, 20.0
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass
class Beginning:
    """A new training: its folder, and the claim that goes to the child process once it has started."""

    folder: TrainingFolder
    claim: Claim
    started: bool = False


class Trainings:
    """The trainings below `root`, which is made when it is needed; their artifacts go to `artifacts`.

    What is known of them lies in files: other server processes see it, and so does a service that was started anew.
    """

    def __init__(self, root: Path, artifacts: Path, options: TrainingOptions) -> None:
        self.options = options
        self._folders = AllFolders(root)
        self._artifacts = artifacts.absolute()
        self._child: subprocess.Popen[bytes] | None = None
        self._own: TrainingFolder | None = None
        self._installing = asyncio.Lock()

    @asynccontextmanager
    async def begin(self, product: str, version: str | None, room: int) -> AsyncIterator[Beginning]:
        """A training whose pictures are about to come, `room` bytes of them; given up unless the block runs it.

        Without a version the training's id is taken. Raises TrainingsOff, TrainingRunning, TrainingRefused, DiskFull.
        """
        check_installed()
        self._check_artifacts(product)
        root = self._folders.root
        with self._writing():
            root.mkdir(parents=True, exist_ok=True)
            held = await claim(self._folders.lock, A_LOOK_S if self._folders.any_runs() else ITS_END_S)
        try:
            await self._reap()
            with self._writing():
                await asyncio.to_thread(self._folders.tidy)
                if shutil.disk_usage(root).free < room + SPARE_BYTES:
                    raise DiskFull(f"{root} has no room for {room:,} bytes of pictures and for a training")
                beginning = Beginning(self._folders.new(product), held)
            try:
                self._check_place(product, version or beginning.folder.path.name)
                yield beginning
            finally:
                if not beginning.started:
                    await asyncio.to_thread(beginning.folder.remove)
        finally:
            held.release()

    def run(self, beginning: Beginning, record: TrainingRecord, flags: Sequence[str]) -> TrainingRecord:
        """Start the child process with these flags of the trainer. Raises DiskFull, TrainingsOff."""
        with self._writing():
            beginning.folder.write(record)
            self._child = start(beginning.folder, record, beginning.claim, self.options, flags)
        beginning.started, self._own = True, beginning.folder
        event("training started", product=record.product, training=record.id, pictures=record.pictures, by=record.by)
        return record

    def all(self, product: str) -> list[tuple[TrainingRecord, TrainingFolder]]:
        """Those of a product, the newest first."""
        found = []
        for folder in self._folders.of(product):
            with contextlib.suppress(TrainingNotFound):  # removed at this moment
                found.append((self._folders.as_it_is(folder), folder))
        return found

    def one(self, product: str, id: str) -> tuple[TrainingRecord, TrainingFolder]:
        """Raises TrainingNotFound."""
        folder = self._folders.one(product, id)
        return self._folders.as_it_is(folder), folder

    async def stop(self, record: TrainingRecord, folder: TrainingFolder, reason: str) -> TrainingRecord:
        """End one that runs; of one that is over, remove the files. The record as it is then, or was last."""
        if record.state != "running":
            await asyncio.to_thread(folder.remove)
            return record
        with self._writing():
            folder.ask_to_stop(reason)
        for _ in range(round(STOPPED_WITHIN_S / LOOK_EVERY_S)):
            await asyncio.sleep(LOOK_EVERY_S)
            record = self._folders.as_it_is(folder)
            if record.state != "running":
                break
        return record

    async def stop_own(self) -> None:
        """At the end of this process: what it has started ends too."""
        if self._child is not None and self._own is not None and self._child.poll() is None:
            with contextlib.suppress(OSError):
                self._own.ask_to_stop("the service was shut down")
            await self._reap()

    async def _reap(self) -> None:
        """Wait for the child process that is about to end, if there is one."""
        if self._child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(self._child.wait, STOPPED_WITHIN_S)

    @asynccontextmanager
    async def installed(self, product: str, id: str) -> AsyncIterator[str]:
        """The version, while its artifact lies in the artifact folder; it stays there unless the block raises.

        The copy appears in one step for who watches the folder. Raises TrainingNotFound, TrainingNotReady,
        TrainingRefused, DiskFull, TrainingsOff.
        """
        async with self._installing:
            record, folder = self.one(product, id)
            if record.state != "ready":
                raise TrainingNotReady(f"training {id} of {product} is {record.state}: there is nothing to activate")
            self._check_place(product, record.version)
            place = self._artifacts / product / record.version
            with self._writing():
                await asyncio.to_thread(_copy, folder.artifact(record), place)
            try:
                yield record.version
            except Exception:
                await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
                raise
            await asyncio.to_thread(folder.ended, record, "active", None)

    def _check_place(self, product: str, version: str) -> None:
        place = self._artifacts / product
        if (place / MANIFEST).exists():
            raise TrainingRefused(
                f"{product} is a plain artifact, which cannot have versions beside it: `mkd-train adopt` makes it one"
            )
        if (place / version).exists():
            raise TrainingRefused(f"{product} has a version {version} already: name another one")

    def _check_artifacts(self, product: str) -> None:
        """Before the upload and the work: what is trained must be able to go where it is served from."""
        if (reason := why_not_writable(self._artifacts / product)) is not None:
            raise TrainingsOff(f"what would be trained could not be activated: {reason}")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Makes a full disk, and a folder that cannot be written, refusals in words."""
        try:
            yield
        except OSError as error:
            if error.errno in FULL:
                raise DiskFull(f"{self._folders.root}: {error.strerror}") from error
            raise TrainingsOff(f"what a training needs cannot be written: {error}") from error


def _copy(source: Path, place: Path) -> None:
    with replace_folder(place) as beside:
        shutil.copytree(source, beside, dirs_exist_ok=True)
