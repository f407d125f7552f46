"""Gives requests leases on verified products, and loads, swaps, rolls back and unloads them without a stall."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from watchfiles import awatch

from models.artifact import Artifact
from service.errors import DeadlineExceeded, NotReady, ProductNotFound, ProductRequired, ServiceError, VersionGone
from service.logs import event
from service.metrics import Metrics
from service.products.agreement import Agreement
from service.products.artifact_folder import ArtifactFolder, RefusedError
from service.products.head_cache import HeadCache
from service.products.pins import Pins
from service.products.preparation import Preparation
from service.products.product import ProductStatus, ProductVersion, VersionKey
from service.products.version_manager import VersionManager

P = ParamSpec("P")
T = TypeVar("T")
TRIES = 3  # to restore a head whose files are being replaced
CATCH_UP_S = 2.0  # that a request waits for this process to reach the version that the others serve
SETTLED_MS = 300  # without a change, before a changed folder is looked at: a copy under way is not whole yet
PREPARE_EVERY_S = 0.05  # between looks for what other processes are about to serve
SPARE_PINS = "pins.json"


class Registry:
    """The products of one folder, each `NAME/` or `NAME/VERSION/` (as people count; the highest unless one is pinned).

    Loading, verifying and warming happen in a thread of the registry's own, with `validate` (Engine.validate); then one
    atomic swap. What is in flight finishes on the version it leased. All methods are for the event loop's thread.

    `grace_s` is how long a product's folder may be away before it counts as removed. `state_file` keeps the pins; where
    it need not be written (`state_required` false) they stay in memory instead. `shared` is a folder that all server
    processes of one parent have (`Agreement.begin`), None for a process alone.
    """

    def __init__(
        self,
        root: Path,
        *,
        validate: Callable[[Artifact], str | None],
        metrics: Metrics,
        state_file: Path | None = None,
        state_required: bool = True,
        watch_s: float = 2.0,
        grace_s: float = 60.0,
        head_memory_bytes: int = 0,
        shared: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = root
        self._watch_s = watch_s
        self._shared = shared is not None
        self._clock = clock
        self._folder = ArtifactFolder(root, validate, metrics, grace_s=grace_s, clock=clock)
        self._head_cache = HeadCache(head_memory_bytes, metrics, clock)
        self._preparation = Preparation(shared)
        self._version_manager = VersionManager(
            self._folder,
            self._head_cache,
            Pins(state_file, required=state_required, spare=shared / SPARE_PINS if shared is not None else None),
            Agreement(shared),
            self._preparation,
            metrics,
            grace_s=grace_s,
            clock=clock,
        )
        self._changes = ThreadPoolExecutor(1, "registry")
        self._restores = ThreadPoolExecutor(1, "registry-restore")  # requests wait for these, not behind a long load
        self._tasks: list[asyncio.Task[None]] = []
        self._catching_up: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Load every product once, then watch the folder. What cannot be served is noted and left out."""
        await self.look()
        ready, reason = self.ready()
        if not ready:
            event("nothing can be judged", logging.ERROR, folder=str(self._root), reason=reason)
        if self._watch_s:
            self._tasks.append(asyncio.create_task(self._keep_looking()))
        if self._shared:
            self._preparation.join()
            self._tasks.append(asyncio.create_task(self._keep_preparing()))

    async def stop(self) -> None:
        """Stop watching and wait for the change that is under way."""
        self._preparation.leave()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        for executor in (self._changes, self._restores):
            await asyncio.to_thread(executor.shutdown, cancel_futures=True)

    @asynccontextmanager
    async def lease(self, product: str | None, *, deadline: float | None = None) -> AsyncIterator[ProductVersion]:
        """The active version of `product`, in memory until the block ends: `async with registry.lease(name) as it`.

        None stands for the only product that the folder holds, whatever state it is in. Waits only where the head has
        to be loaded again, or where this process is behind the others. Raises ProductRequired, ProductNotFound (both
        list the products), NotReady (with the reason why none is active), DeadlineExceeded (it could not be loaded
        again before `deadline`, a time of `time.monotonic()`).
        """
        version = await self._leased(product or self._only_product(), deadline)
        try:
            yield version
        finally:
            self._head_cache.release(version.key)

    @asynccontextmanager
    async def lease_loaded(self, product: str, hash_: str) -> AsyncIterator[ProductVersion]:
        """The version of these contents as it is in memory, active or not, until the block ends.

        Raises VersionGone where it is not: nothing is loaded for it but the active version.
        """
        active = self._version_manager.active(product)
        if active is not None and active.hash == hash_:
            async with self.lease(product) as version:
                if version.hash == hash_:
                    yield version
                    return
        key = self._head_cache.find(product, hash_)
        found = self._head_cache.lease(key) if key is not None else None
        if found is None:
            raise VersionGone(f"of {product} the version with the hash {hash_[:12]} is not loaded any more")
        try:
            yield found
        finally:
            self._head_cache.release(found.key)

    def products(self) -> list[ProductStatus]:
        """All products of the folder by name, also those that are not served."""
        return self._version_manager.statuses()

    def status(self, product: str) -> ProductStatus:
        """Raises ProductNotFound, and NotReady where the folder cannot tell which products there are."""
        try:
            return self._version_manager.status(product)
        except ProductNotFound:
            statuses = self._version_manager.statuses()
            if (trouble := self._version_manager.trouble) is not None or not statuses:
                raise NotReady(trouble or self.ready()[1], retry_after=5.0) from None
            raise

    def ready(self) -> tuple[bool, str]:
        """Whether any product can be served, and why not."""
        statuses = self._version_manager.statuses()
        behind = [self._version_manager.behind(status.name) for status in statuses if status.version is not None]
        if None in behind:
            return True, ""
        reasons = [self._version_manager.trouble]
        reasons += [f"{status.name}: {_why_not(status)}" for status in statuses if status.version is None]
        reasons += behind
        words = "; ".join(reason for reason in reasons if reason)
        return False, words if str(self._root) in words else f"{self._root}: {words or 'has not been read yet'}"

    # Each of these raises ProductNotFound, VersionNotFound or ArtifactRefused with the reason: nothing changed then.

    async def load(self, product: str, version: str | None = None) -> ProductStatus:
        """Read the folder anew and validate a version (None: the one that should be active).

        The product then goes to the version it should have: its pinned one, or its highest. Another one that was named
        stays in memory, ready to be activated. Ends an unload.
        """
        return await self._change("load", lambda: self._version_manager.load(product, version), product, version)

    async def activate(self, product: str, version: str) -> ProductStatus:
        """Make `version` active and pin it; the pin survives a restart unless the status' note says otherwise.

        Ends an unload.
        """
        return await self._change(
            "activate", lambda: self._version_manager.activate(product, version), product, version
        )

    async def unpin(self, product: str) -> ProductStatus:
        """Follow the highest version again."""
        return await self._change("unpin", lambda: self._version_manager.unpin(product), product)

    async def rollback(self, product: str) -> ProductStatus:
        """Back to the version that was active before (else the next lower one), pinned.

        Refused where that version's folder is gone, as a restart and other processes could not serve it. A plain NAME
        whose artifact was replaced goes back to the one in memory, as long as this process lives; refused where there
        are other processes, as they would not follow.
        """
        return await self._change("rollback", lambda: self._version_manager.rollback(product), product)

    async def unload(self, product: str) -> ProductStatus:
        """Serve the product no more until load or activate, also after a restart; requests in flight finish.

        One whose folder was removed leaves the list.
        """
        return await self._change("unload", lambda: self._version_manager.unload(product), product)

    async def look(self) -> None:
        """Take over what has changed in the folder and the state file, now instead of at the watch's next look."""
        await self._in(self._changes, self._version_manager.look)

    async def _change(
        self, action: str, call: Callable[[], ProductStatus], product: str, version: str | None = None
    ) -> ProductStatus:
        """Make the change and log what became of it."""
        asked: dict[str, Any] = {"action": action, "product": product, "version": version}
        try:
            status = await self._in(self._changes, call)
        except ServiceError as error:
            event("admin failed", logging.WARNING, **asked, code=error.code, reason=error.detail)
            raise
        event("admin done", **asked, active=status.version, pinned=status.pinned, state=status.state, note=status.note)
        return status

    async def _leased(self, product: str, deadline: float | None) -> ProductVersion:
        for _ in range(TRIES):
            if (behind := self._version_manager.behind(product)) is not None:
                if not await self._caught_up(product, deadline):
                    raise NotReady(behind, retry_after=1.0)
                continue
            active = self._version_manager.active(product)
            if active is None:
                raise NotReady(f"{product}: {_why_not(self.status(product))}", retry_after=5.0)
            if (version := self._head_cache.lease(active)) is not None:
                return version
            try:
                await self._before(deadline, self._in(self._restores, self._restore, active))
            except RefusedError as error:
                raise NotReady(f"{product} could not be loaded again: {error.reason}", retry_after=5.0) from error
        raise NotReady(f"{product} left memory before it could be used; head_memory_mb is too small", retry_after=1)

    async def _caught_up(self, product: str, deadline: float | None) -> bool:
        """Wait a little for this process to reach what was agreed; all requests wait for one look together."""
        if self._catching_up is None or self._catching_up.done():
            self._catching_up = self._in(self._changes, self._version_manager.look)
        left_s = CATCH_UP_S if deadline is None else min(CATCH_UP_S, max(0.0, deadline - self._clock()))
        await asyncio.wait((self._catching_up,), timeout=left_s)
        return self._version_manager.behind(product) is None

    def _restore(self, key: VersionKey) -> None:
        if self._head_cache.holds(key):
            return
        version = self._folder.load(key.name, key.folder)
        if version.key == key:
            self._head_cache.put(version)
        else:  # other contents: that is for the thread that makes changes
            self._changes.submit(self._version_manager.look).result()

    async def _before(self, deadline: float | None, work: asyncio.Future[T]) -> T:
        seconds = None if deadline is None else max(0.0, deadline - self._clock())
        try:
            return await asyncio.wait_for(asyncio.shield(work), seconds)
        except TimeoutError as error:
            raise DeadlineExceeded("the product had to be loaded again, which took too long") from error

    def _only_product(self) -> str:
        """A product that is refused or unloaded counts: its parts must not be judged by the one that is left."""
        names = self._version_manager.names()
        if len(names) == 1:
            return names[0]
        if names:
            raise ProductRequired(f"name one with ?product=; there are: {', '.join(names)}")
        raise NotReady(self.ready()[1], retry_after=5.0)

    async def _keep_preparing(self) -> None:
        """Prove what other processes are about to go to, so that no request waits for it when they have."""
        while True:
            if self._preparation.proposals():
                await self._in(self._changes, self._version_manager.prepare)
            await asyncio.sleep(PREPARE_EVERY_S)

    async def _keep_looking(self) -> None:
        """At each change that the system tells of, and every `watch_s`, as a network's file system may not tell."""
        told = ""
        while True:
            try:
                await self._look_at_changes()
            except Exception as error:
                if str(error) != told:  # once, and not every `watch_s`
                    told = str(error)
                    event("artifact folder not watched", logging.WARNING, reason=told, look_every_s=self._watch_s)
            await asyncio.sleep(self._watch_s)
            await self._look_again()

    async def _look_at_changes(self) -> None:
        """Until the folder is away or another one; then it has to be watched anew."""
        watched = _identity(self._root)
        if watched is None:
            return
        milliseconds = max(1, round(1000 * self._watch_s))
        changes = awatch(
            self._root,
            watch_filter=None,
            debounce=milliseconds,
            step=min(SETTLED_MS, milliseconds),
            rust_timeout=milliseconds,
            yield_on_timeout=True,
        )
        async with aclosing(changes):
            async for _ in changes:
                await self._look_again()
                if _identity(self._root) != watched:
                    return

    async def _look_again(self) -> None:
        try:
            await self.look()
        except Exception as error:
            event("artifact folder not read", logging.ERROR, error=f"{type(error).__name__}: {error}")

    def _in(self, executor: Executor, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(executor, lambda: call(*args, **kwargs))


def _identity(root: Path) -> tuple[int, int] | None:
    """Which folder that is now: a file system that is mounted there makes another one of it."""
    try:
        found = os.stat(root)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _why_not(status: ProductStatus) -> str:
    if status.state == "unloaded":
        return "is unloaded"
    if status.state == "loading":
        return "is being loaded"
    return (
        "; ".join(f"{version or status.name} {reason}" for version, reason in status.problems.items())
        or "has no version"
    )
