"""A folder of artifacts in, leases on verified products out: loads, swaps, rolls back and unloads without a stall."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from models.artifact import Artifact
from service.errors import DeadlineExceeded, NotReady, ProductRequired
from service.logs import event
from service.metrics import Metrics
from service.products.catalogue import Catalogue
from service.products.head_cache import HeadCache, Key, key_of
from service.products.loader import Loader, RefusedError
from service.products.pins import Pins
from service.products.product import ProductStatus, ProductVersion
from service.products.version_manager import VersionManager

P = ParamSpec("P")
T = TypeVar("T")
TRIES = 3  # to restore a head whose files are being replaced


class Registry:
    """The products of one folder, each `NAME/` or `NAME/VERSION/` (as people count; the highest unless one is pinned).

    Loading, verifying and warming happen in a thread of the registry's own, with `validate` (Engine.validate); then one
    atomic swap. What is in flight finishes on the version it leased. All methods are for the event loop's thread.
    """

    def __init__(
        self,
        root: Path,
        *,
        validate: Callable[[Artifact], None],
        metrics: Metrics,
        state_file: Path | None = None,
        watch_s: float = 2.0,
        head_memory_bytes: int = 0,
        alone: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = root
        self._watch_s = watch_s
        self._clock = clock
        catalogue = Catalogue(root)
        self._loader = Loader(catalogue, validate, metrics)
        self._head_cache = HeadCache(head_memory_bytes, metrics, clock)
        self._version_manager = VersionManager(
            catalogue, self._loader, self._head_cache, Pins(state_file), metrics, alone=alone
        )
        self._changes = ThreadPoolExecutor(1, "registry")
        self._restores = ThreadPoolExecutor(1, "registry-restore")  # requests wait for these, not behind a long load
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load every product once, then watch the folder.

        An artifact that is itself bad is noted and left out; a device that cannot run one raises NotReady.
        """
        await self._in(self._changes, self._version_manager.look, starting=True)
        if self._watch_s:
            self._watch = asyncio.create_task(self._keep_looking())

    async def stop(self) -> None:
        """Stop watching and wait for the change that is under way."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
            self._watch = None
        for executor in (self._changes, self._restores):
            await asyncio.to_thread(executor.shutdown, cancel_futures=True)

    @asynccontextmanager
    async def lease(self, product: str | None, *, deadline: float | None = None) -> AsyncIterator[ProductVersion]:
        """The active version of `product`, in memory until the block ends: `async with registry.lease(name) as it`.

        None stands for the only product that is served. Waits only where the head has to be loaded again. Raises
        ProductRequired, ProductNotFound (both list the products), NotReady (with the reason why none is active),
        DeadlineExceeded (it could not be loaded again before `deadline`, a time of `time.monotonic()`).
        """
        version = await self._leased(product or self._only_product(), deadline)
        try:
            yield version
        finally:
            self._head_cache.release(key_of(version))

    def products(self) -> list[ProductStatus]:
        """All products of the folder by name, also those that are not served."""
        return self._version_manager.statuses()

    def status(self, product: str) -> ProductStatus:
        """Raises ProductNotFound."""
        return self._version_manager.status(product)

    def ready(self) -> tuple[bool, str]:
        """Whether any product can be served, and why not."""
        statuses = self._version_manager.statuses()
        if any(status.version is not None for status in statuses):
            return True, ""
        if not statuses:
            return False, "the artifact folder holds no product"
        return False, "; ".join(f"{status.name}: {_why_not(status)}" for status in statuses)

    # Each of these raises ProductNotFound, VersionNotFound or ArtifactRefused with the reason: nothing changed then.

    async def load(self, product: str, version: str | None = None) -> ProductStatus:
        """Read the folder anew and validate a version (None: the one that should be active).

        The product then goes to the version it should have: its pinned one, or its highest. Another one that was named
        stays in memory, ready to be activated. Ends an unload.
        """
        return await self._in(self._changes, self._version_manager.load, product, version)

    async def activate(self, product: str, version: str) -> ProductStatus:
        """Make `version` active and pin it; the pin survives a restart where there is a state file. Ends an unload."""
        return await self._in(self._changes, self._version_manager.activate, product, version)

    async def unpin(self, product: str) -> ProductStatus:
        """Follow the highest version again."""
        return await self._in(self._changes, self._version_manager.unpin, product)

    async def rollback(self, product: str) -> ProductStatus:
        """Back to the version that was active before (else the next lower one), pinned.

        A plain NAME whose artifact was replaced goes back to the one in memory, as long as this process lives; refused
        where the registry is not `alone` in serving the folder, as the other processes would not follow.
        """
        return await self._in(self._changes, self._version_manager.rollback, product)

    async def unload(self, product: str) -> ProductStatus:
        """Serve the product no more until load or activate, also after a restart; requests in flight finish."""
        return await self._in(self._changes, self._version_manager.unload, product)

    async def look(self) -> None:
        """Take over what has changed in the folder and the state file, now instead of at the watch's next look."""
        await self._in(self._changes, self._version_manager.look)

    async def _leased(self, product: str, deadline: float | None) -> ProductVersion:
        for _ in range(TRIES):
            active = self._version_manager.active(product)
            if active is None:
                raise NotReady(f"{product}: {_why_not(self._version_manager.status(product))}", retry_after=5.0)
            if (version := self._head_cache.lease(active.key)) is not None:
                return version
            try:
                await self._before(deadline, self._in(self._restores, self._restore, active.key))
            except RefusedError as error:
                raise NotReady(f"{product} could not be loaded again: {error.reason}", retry_after=5.0) from error
        raise NotReady(f"{product} left memory before it could be used; head_memory_mb is too small", retry_after=1)

    def _restore(self, key: Key) -> None:
        if self._head_cache.holds(key):
            return
        version = self._loader.bring(key.name, key.folder)
        if key_of(version) == key:
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
        served = self._version_manager.served()
        if len(served) == 1:
            return served[0]
        if served:
            raise ProductRequired(f"name one with ?product=; there are: {', '.join(served)}")
        raise NotReady(self.ready()[1], retry_after=5.0)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(self._watch_s)
            try:
                await self.look()
            except Exception as error:  # the next look may find it mended
                event("artifact folder not read", logging.ERROR, error=f"{type(error).__name__}: {error}")

    def _in(self, executor: Executor, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(executor, lambda: call(*args, **kwargs))


def _why_not(status: ProductStatus) -> str:
    if status.state == "unloaded":
        return "is unloaded"
    return (
        "; ".join(f"{version or status.name} {reason}" for version, reason in status.problems.items())
        or "has no version"
    )
