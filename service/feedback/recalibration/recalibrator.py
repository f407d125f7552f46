"""Recalibrates products from the feedback store: proposes in the background, and applies what was proposed.

A proposal changes nothing; applied it becomes the product's next version, which the registry proves and activates as
any other, so that a rollback is the registry's. Every step is told to `on_step`, for the audit trail.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from models.artifact import Artifact, ArtifactError
from models.imaging.decode import ImageLimits
from service.errors import ArtifactRefused, RecalibrationStale, ServiceError
from service.feedback.access import FeedbackAccess
from service.feedback.recalibration.computing import Outcome, computed
from service.feedback.recalibration.record import Asked, Recalibration
from service.feedback.recalibration.writing import move_into_version, write_version
from service.logs import event
from service.products.product import ProductStatus, ProductVersion
from service.products.registry import Registry

LISTED = 50
OnStep = Callable[[Mapping[str, Any]], None]
P = ParamSpec("P")
T = TypeVar("T")


class Recalibrator:
    """See the module. All methods are for the event loop's thread."""

    def __init__(
        self,
        access: FeedbackAccess,
        registry: Registry,
        image_limits: ImageLimits,
        on_step: OnStep = lambda _: None,
    ) -> None:
        self._access = access
        self._registry = registry
        self._limits = image_limits
        self._on_step = on_step
        self._thread = ThreadPoolExecutor(1, "mkd-recalibrate")
        self._tasks: dict[asyncio.Task[None], Recalibration] = {}

    async def stop(self) -> None:
        """Give up what runs, and note that it has failed."""
        given_up = dict(self._tasks)
        for task in given_up:
            task.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)
        self._thread.shutdown(wait=False, cancel_futures=True)
        for record in given_up.values():
            await self._end(record, Outcome("failed", {"reason": "the service was stopped; propose anew"}))

    async def propose(self, product: str, asked: Asked, by: str) -> Recalibration:
        """Begin a proposal for the active version, and return while it runs.

        Raises ProductNotFound, NotReady, RecalibrationRunning, FeedbackUnavailable.
        """
        from service.feedback.recalibration.records import begin

        self._registry.status(product)
        async with self._registry.lease(product) as version:
            values = {
                "product": product,
                "at": time.time(),
                "by": by,
                "since": asked.since,
                "until": asked.until,
                "from_version": version.version,
                "from_hash": version.hash,
            }
            record = await self._access.write(begin, values)
        self._tell("proposed", record, by)
        task = asyncio.create_task(self._run(record, asked))
        self._tasks[task] = record
        task.add_done_callback(lambda done: self._tasks.pop(done, None))
        return record

    async def one(self, product: str, number: int) -> Recalibration:
        """Raises RecalibrationNotFound."""
        from service.feedback.recalibration.records import one

        return await self._access.read(one, product, number)

    async def newest(self, product: str) -> list[Recalibration]:
        """The last LISTED of a product, newest first. Raises ProductNotFound."""
        from service.feedback.recalibration.records import newest

        self._registry.status(product)
        return await self._access.read(newest, product, LISTED)

    async def apply(self, product: str, number: int, by: str) -> Recalibration:
        """Write the version that was proposed and activate it.

        Raises RecalibrationNotFound, RecalibrationNotReady, RecalibrationStale (something that it rests on has
        changed), ArtifactRefused (it cannot be written, or not be activated); then nothing of the product has changed.
        """
        from service.feedback.recalibration.records import applied, claim, give_back

        record = await self.one(product, number)
        status = self._registry.status(product)
        if record.state == "ready":
            await self._refuse_stale(record, status)
            if not status.versions:
                status = await self._with_versions(status)
        record = await self._access.write(claim, product, number, status.versions, by, time.time())
        try:
            async with self._registry.lease(product) as version:
                artifact = await self._in_thread(_write, version, record)
            await self._activate(record, artifact)
        except Exception as error:
            reason = error.detail if isinstance(error, ServiceError) else f"the service has a fault: {error}"
            record = await self._access.write(give_back, product, number, f"could not be applied: {reason}")
            self._tell("not applied", record, by)
            raise
        record = await self._access.write(applied, product, number, time.time())
        self._tell("applied", record, by, {"version": record.to_version, "hash": artifact.sha256})
        return record

    async def _refuse_stale(self, record: Recalibration, status: ProductStatus) -> None:
        from service.feedback.recalibration.window import not_good_any_more

        if status.hash != record.from_hash:
            raise RecalibrationStale(
                f"it was proposed for version {record.from_version}, and {status.version or 'none'} is active: its "
                "scores are of another kind. Propose anew"
            )
        assert record.content is not None
        withdrawn = await self._access.read(not_good_any_more, record.content["verdicts"])
        if withdrawn:
            raise RecalibrationStale(
                f"{withdrawn} of the parts that it rests on {'is' if withdrawn == 1 else 'are'} not called good any "
                "more. Propose anew"
            )

    async def _with_versions(self, status: ProductStatus) -> ProductStatus:
        """The same product, of whose own folder its active version has become a folder: that can be rolled back to."""
        assert status.version is not None
        async with self._registry.lease(status.name) as version:
            try:
                await self._in_thread(move_into_version, version.artifact.path, status.version)
            except OSError as error:
                raise ArtifactRefused(
                    f"the product lies in its own folder, of which {status.name}/{status.version} could not be made: "
                    f"{error.strerror or error}"
                ) from error
        return await self._registry.activate(status.name, status.version)

    async def _activate(self, record: Recalibration, artifact: Artifact) -> None:
        assert record.to_version is not None
        try:
            await self._registry.activate(record.product, record.to_version)
        except ServiceError:
            await asyncio.to_thread(shutil.rmtree, artifact.path, ignore_errors=True)
            raise

    async def _run(self, record: Recalibration, asked: Asked) -> None:
        try:
            async with self._registry.lease(record.product) as version:
                found = await self._computed(record, asked, version)
        except ServiceError as error:
            found = Outcome("failed", {"reason": error.detail})
        except Exception:
            logging.getLogger("mkdserve").exception("recalibration %d failed", record.id)
            found = Outcome("failed", {"reason": "the service has a fault; it is logged"})
        await self._end(record, found)

    async def _end(self, record: Recalibration, found: Outcome) -> None:
        from service.feedback.recalibration.records import finish

        try:
            ended = await self._access.write(finish, record.product, record.id, found.state, found.values)
        except ServiceError as error:  # it runs until it is taken for dead
            event("recalibration not noted", logging.ERROR, product=record.product, id=record.id, reason=error.detail)
            return
        if ended is not None:
            self._tell(ended.state, ended, record.by)

    async def _computed(self, record: Recalibration, asked: Asked, version: ProductVersion) -> Outcome:
        from service.feedback.recalibration.window import kept_pictures, read_window

        if version.hash != record.from_hash:
            return Outcome("failed", {"reason": "another version was activated meanwhile; propose anew"})
        bounds = record.since, record.until
        window = await self._access.read(read_window, record.product, version.hash, *bounds)
        found = await self._in_thread(computed, window, version.calibration, asked)
        if found.proposal is None:
            return found
        drawn = [part.verdict_id for part in found.proposal.drawn]
        pictures = await self._access.read(kept_pictures, drawn)
        return await self._in_thread(found.with_inputs, pictures, self._access.store.pictures, version, self._limits)

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*args, **kwargs))

    def _tell(self, action: str, record: Recalibration, by: str, to: Mapping[str, Any] | None = None) -> None:
        result = record.result or {}
        members = {
            "action": action,
            "caller": by,
            "recalibration": record.id,
            "product": record.product,
            "from": {"version": record.from_version, "hash": record.from_hash},
            "to": to,
            "reason": record.reason,
            "data_sha256": (record.content or {}).get("data_sha256"),
            **{name: result.get(name) for name in ("before", "after", "rate_promised", "parts")},
        }
        told: dict[str, Any] = {name: value for name, value in members.items() if value is not None}
        event("recalibration", **told)
        try:
            self._on_step(told)
        except Exception:
            logging.getLogger("mkdserve").exception("a recalibration could not be put into the audit trail")


def _write(version: ProductVersion, record: Recalibration) -> Artifact:
    try:
        return write_version(version.artifact.path, record)
    except (ArtifactError, OSError) as error:
        reason = error.reason if isinstance(error, ArtifactError) else error.strerror or error
        raise ArtifactRefused(f"version {record.to_version} could not be written: {reason}") from error
