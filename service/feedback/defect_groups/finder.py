"""Finds recurring defects in the background: looks at kept pictures one by one, and puts their regions into groups.

Products are looked at that somebody has asked for since the start, by their groups or by a review, and those of which a
group has a name. Each picture is judged once more by the version that judged it, which is no verdict; the rest is done
by one thread of the lowest priority. After each part the work rests for IDLE times as long as the part has taken, and
where the service has no room for it, it waits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from service.errors import (
    DeadlineExceeded,
    FeedbackUnavailable,
    NotReady,
    Overloaded,
    ServiceError,
    ShuttingDown,
    VersionGone,
)
from service.feedback.access import FeedbackAccess
from service.feedback.defect_groups.rows import DefectGroups, Region, Undescribed
from service.feedback.localization import localize
from service.feedback.rows import VerdictRow
from service.inspection.context import InspectionContext
from service.inspection.inspector import Inspector
from service.logs import event

if TYPE_CHECKING:
    from service.feedback.defect_groups.descriptors import Descriptors
    from service.products.product import ProductVersion

WATCH_S = 15.0
IDLE = 3.0
LONGEST_REST_S = 5.0  # the first part takes the network and the good pictures with it
SURFACE = "defect_groups"
LATER = (DeadlineExceeded, FeedbackUnavailable, NotReady, Overloaded, ShuttingDown)  # of now, and not of the part
FAULT = "the service has a fault; it is logged"
OnNamed = Callable[[Mapping[str, Any]], None]
P = ParamSpec("P")
T = TypeVar("T")


class DefectFinder:
    """See the module. All methods are for the event loop's thread; `run` has to run beside it.

    `weights` is the file of the source's weights, None for the cache. `on_named` is told of each name, for the audit
    trail. `trouble` says by product why the work stands still.
    """

    def __init__(
        self,
        access: FeedbackAccess,
        inspector: Inspector,
        weights: Path | None = None,
        on_named: OnNamed = lambda _: None,
    ) -> None:
        self._access = access
        self._inspector = inspector
        self._weights = weights
        self._on_named = on_named
        self._asked: set[str] = set()
        self._asked_now = asyncio.Event()
        self._thread: ThreadPoolExecutor | None = None
        self._descriptors: Descriptors | None = None
        self._reaches: dict[str, float] = {}  # by the hash of the version
        self.trouble: dict[str, str] = {}

    def look(self, product: str) -> None:
        """Look at the product's parts soon, and from now on."""
        self._asked.add(product)
        self._asked_now.set()

    async def groups(self, product: str, since: float | None) -> DefectGroups:
        """The groups of a product from a time on; what is not known yet is looked at after this. Raises
        ProductNotFound, FeedbackUnavailable."""
        from service.feedback.defect_groups.records import groups

        self._inspector.products.status(product)
        found = await self._access.read(groups, product, since)
        self.look(product)
        return found

    async def name(self, product: str, group: int, text: str | None, by: str) -> None:
        """Name a group; None takes its name away. Raises DefectGroupNotFound, FeedbackUnavailable."""
        from service.feedback.defect_groups.records import name

        before = await self._access.write(name, product, group, text, by, time.time())
        members = {"action": "group named", "caller": by, "product": product, "group": group, "by": by}
        told = {**members, **{key: value for key, value in (("name", text), ("before", before)) if value is not None}}
        event("review", logging.INFO, **told)
        try:
            self._on_named(told)
        except Exception:  # the name stands
            logging.getLogger("mkdserve").exception("the name of a group could not be put into the audit trail")

    async def run(self) -> None:
        """Look at parts until it is cancelled."""
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(WATCH_S):
                        await self._asked_now.wait()
                self._asked_now.clear()
                await self._look_at_all()
        finally:
            if self._thread is not None:
                self._thread.shutdown(wait=False, cancel_futures=True)

    async def _look_at_all(self) -> None:
        from service.feedback.defect_groups.records import named_products

        with suppress(FeedbackUnavailable):
            self._asked.update(await self._access.read(named_products))
        for product in sorted(self._asked):
            trouble = None
            try:
                await self._look_at(product)
            except ServiceError as error:
                trouble = error.detail
            except Exception:
                trouble = FAULT
                if self.trouble.get(product) != FAULT:
                    logging.getLogger("mkdserve").exception("recurring defects of %s: unexpected fault", product)
            self.trouble.pop(product, None)
            if trouble is not None:
                self.trouble[product] = trouble

    async def _look_at(self, product: str) -> None:
        from service.feedback.defect_groups.records import give_up, put, waiting

        for row in await self._access.read(waiting, product):
            began = time.monotonic()
            try:
                region, reach = await self._region(row)
            except LATER:
                raise
            except (ServiceError, _NothingThere) as error:
                await self._access.write(give_up, row.id, _state_of(error))
            else:
                await self._access.write(put, region, reach, time.time())
            await asyncio.sleep(min(LONGEST_REST_S, IDLE * (time.monotonic() - began)))

    async def _region(self, row: VerdictRow) -> tuple[Region, float]:
        picture, _ = await self._access.picture(row.id)
        async with self._inspector.products.lease_loaded(row.product, row.hash) as version:
            reach = await self._reach(version)
            context = InspectionContext(f"{SURFACE}-{row.id}", SURFACE)
            found = await localize(self._inspector, row, picture, context)
            if not found.regions:
                raise _NothingThere
            box = found.regions[0].box
            space, descriptor = await self._in_thread(self._described, version, picture, box, found.group)
        return Region(row.id, row.product, box, space, descriptor), reach

    async def _reach(self, version: ProductVersion) -> float:
        """The distance up to which two regions of this version's product are alike."""
        from service.feedback.defect_groups.records import good_pictures

        if version.hash not in self._reaches:
            names = await self._access.read(good_pictures, version.name)
            self._reaches[version.hash] = await self._in_thread(self._good_distance, version, names)
        return self._reaches[version.hash]

    def _described(
        self, version: ProductVersion, picture: bytes, box: tuple[int, int, int, int], group: str | None
    ) -> tuple[str, bytes]:
        from models.imaging.channels import number_of
        from service.feedback.defect_groups.descriptors import crop_of, space_of
        from service.feedback.defect_groups.grouping import to_bytes

        source, white = version.artifact.source, version.preprocessing.sixteen_bit_white
        number = number_of(version.preprocessing.groups, group)
        crop = crop_of(version.judge.views.picture_of(picture, self._inspector.image_limits, number), box, white)
        return space_of(source), to_bytes(self._made().of(source, [crop])[0])

    def _good_distance(self, version: ProductVersion, names: list[tuple[str, int]]) -> float:
        from service.feedback.defect_groups.good_parts import good_distance_of

        pictures = self._access.store.pictures
        return good_distance_of(self._made(), version.artifact, pictures, names, self._inspector.image_limits)

    def _made(self) -> Descriptors:
        if self._descriptors is None:
            from service.feedback.defect_groups.descriptors import Descriptors

            Descriptors.step_back()
            self._descriptors = Descriptors(self._weights)
        return self._descriptors

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "mkd-describe")
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*args, **kwargs))


class _NothingThere(Exception):
    """The map is lit nowhere."""


def _state_of(error: Exception) -> Undescribed:
    if isinstance(error, _NothingThere):
        return "no_region"
    return "version_gone" if isinstance(error, VersionGone) else "failed"
