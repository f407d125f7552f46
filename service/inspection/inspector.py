"""The one way from encoded images to verdicts, for every surface.

    await inspector.inspect(images, product, options, context)

A surface that reads its images piece by piece (REST) takes the same way in steps, so that what can be refused without
the images is refused before they are read:

    async with inspector.open(product, options, context) as inspection:
        with inspection.admit(size=content_length) as permit:
            entries = await inspection.judge(await read(...), permit)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from models.imaging.decode import ImageLimits
from service.engine.engine import Engine
from service.inspection.context import InspectionContext
from service.inspection.encoded_image import EncodedImage
from service.inspection.inspection import Inspection
from service.inspection.observers import Observers
from service.inspection.options import InspectionOptions, choose_thresholds
from service.inspection.thread_pool import WorkerThreads
from service.inspection.verdict import ImageFailure, Verdict
from service.products.product import ProductVersion
from service.products.registry import Registry


@dataclass(frozen=True)
class Inspector:
    """Judges images by the products of a registry on the devices of an engine."""

    products: Registry
    engine: Engine
    threads: WorkerThreads
    image_limits: ImageLimits
    observers: Observers

    async def inspect(
        self,
        images: Sequence[EncodedImage],
        product: str | None,
        options: InspectionOptions,
        context: InspectionContext,
    ) -> list[Verdict | ImageFailure]:
        """One entry per image, in order, admitted here; `product` None stands for the only one that is served.

        Raises ServiceError where the request as a whole is refused or failed: see `open`, `Inspection.admit` and
        `Inspection.judge`.
        """
        async with self.open(product, options, context) as inspection:
            with inspection.admit(len(images), sum(len(image.data) for image in images)) as permit:
                return await inspection.judge(images, permit)

    @asynccontextmanager
    async def open(
        self, product: str | None, options: InspectionOptions, context: InspectionContext
    ) -> AsyncIterator[Inspection]:
        """The inspection of one request, with its product leased until the block ends.

        Raises what `Registry.lease` raises (ProductRequired, ProductNotFound, NotReady, DeadlineExceeded), and
        RateNotPromised.
        """
        async with self.products.lease(product, deadline=context.deadline) as version:
            context.product, context.version = version.name, version.version
            yield self._inspection(version, options, context, self.observers)

    @asynccontextmanager
    async def open_again(
        self, product: str, hash_: str, options: InspectionOptions, context: InspectionContext
    ) -> AsyncIterator[Inspection]:
        """An inspection of what was judged before, by the version of these contents; what it finds is no verdict.

        No observer is told of it. Raises VersionGone where that version is not loaded any more.
        """
        async with self.products.lease_loaded(product, hash_) as version:
            yield self._inspection(version, options, context, Observers((), self.engine.metrics))

    def _inspection(
        self, version: ProductVersion, options: InspectionOptions, context: InspectionContext, observers: Observers
    ) -> Inspection:
        return Inspection(
            version=version,
            thresholds=choose_thresholds(version.calibration, options),
            pictures=options.pictures,
            context=context,
            engine=self.engine,
            threads=self.threads,
            image_limits=self.image_limits,
            observers=observers,
        )
