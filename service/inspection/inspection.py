"""The images of one request on their way to verdicts, all by the same version of a product.

Every image goes its own way through decode, judge and encode, so the device works on the first while the last is still
being decoded, and what is wrong with one image stays with that image. A verdict exists only where a finite score came
back: everything else is an error, never OK.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from models.calibration.conformal import Thresholds
from models.image_judge import Box, PreparedImage
from models.imaging.decode import ImageError, ImageLimits
from service.engine.admission import Permit
from service.engine.engine import Engine, TimedJudgement
from service.errors import InferenceFailed, ServiceError
from service.inspection.context import InspectionContext
from service.inspection.deadlines import in_time, seconds_to
from service.inspection.decode import prepare
from service.inspection.encoded_image import EncodedImage
from service.inspection.map_pictures import map_pictures
from service.inspection.observers import Observers, Picture
from service.inspection.options import PictureOptions
from service.inspection.parts import parts_of
from service.inspection.thread_pool import OverBudget, WorkerThreads
from service.inspection.verdict import ImageFailure, StageTimes, Verdict, verdict_of
from service.products.product import ProductVersion

P = ParamSpec("P")
T = TypeVar("T")
Judged = tuple[Verdict, PreparedImage]


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """Made by `Inspector.open`, with the product version leased as long as it is of use."""

    version: ProductVersion
    thresholds: Thresholds
    pictures: PictureOptions | None
    context: InspectionContext
    engine: Engine
    threads: WorkerThreads
    image_limits: ImageLimits
    observers: Observers

    def admit(self, images: int = 1, size: int = 0) -> Permit:
        """Room for so many images and bytes, to be released when the reply is made (it is a context manager).

        A surface that can be told to wait asks before it has read the images; the permit grows with what comes.
        Raises what `Admission.try_admit` raises: Overloaded, ShuttingDown, TooManyImages, BodyTooLarge.
        """
        return self.engine.admission.try_admit(images, size, patience_s=seconds_to(self.context.deadline))

    async def judge(self, images: Sequence[EncodedImage], permit: Permit) -> list[Verdict | ImageFailure]:
        """One entry per image, in order; `permit` is made to hold the views of all of them (tiles are what costs time).

        Where the product has groups of channels there is one entry per part: see service.inspection.parts.

        Raises the service's error where it is the reason that no image at all was judged: then the whole request has
        failed, and its surface should say so. Images that cannot be read are no such reason.
        """
        if groups := self.version.preprocessing.groups:
            sent = len(images)
            images = await in_time(self.threads.run(parts_of, images, groups), self.context.deadline)
            if len(images) < sent:
                permit.holding(sum(len(image.data) for image in images))  # the surface still has the files themselves
        self.context.images = len(images)
        if (more := len(images) * self.version.judge.views.count - permit.images) > 0:
            permit.grow(images=more)
        entries = [
            self._note(image, found) for image, found in zip(images, await self._all(images, permit), strict=True)
        ]
        failures = [entry for entry in entries if isinstance(entry, ImageFailure)]
        if len(failures) == len(entries):
            for failure in failures:
                if isinstance(failure.error, ServiceError):
                    raise failure.error
        return entries

    async def judge_one(self, index: int, image: EncodedImage, permit: Permit) -> Verdict | ImageFailure:
        """The entry of one image of a stream, for which the surface has asked `permit` to hold its views."""
        return self._note(image, await self._attempt(index, image, permit))

    def failed(self, index: int, name: str | None, error: ImageError) -> ImageFailure:
        """The entry of an image that the surface itself has found to be none."""
        failure = ImageFailure(index=index, name=name, error=error, times=self._times({}))
        self._tell_failure(failure)
        return failure

    async def _all(self, images: Sequence[EncodedImage], permit: Permit) -> list[Judged | ImageFailure]:
        if len(images) == 1:
            return [await self._attempt(0, images[0], permit)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._attempt(index, image, permit)) for index, image in enumerate(images)]
        return [task.result() for task in tasks]

    def _note(self, image: EncodedImage, found: Judged | ImageFailure) -> Verdict | ImageFailure:
        """Count it for the surface and tell the observers."""
        if isinstance(found, ImageFailure):
            self._tell_failure(found)
            return found
        verdict, prepared = found
        self.context.decisions[verdict.decision] += 1
        self.observers.on_verdict(verdict, Picture(prepared, image.data, self.version, self.context, time.time()))
        return verdict

    def _tell_failure(self, failure: ImageFailure) -> None:
        self.context.failures[failure.error.code] += 1
        self.observers.on_failure(failure, self.context)

    async def _attempt(self, index: int, image: EncodedImage, permit: Permit) -> Judged | ImageFailure:
        took: dict[str, float] = {}
        error: ImageError | ServiceError
        try:
            return await self._judge(index, image, permit, took)
        except (ImageError, ServiceError) as failure:
            error = failure
        except Exception:
            logging.getLogger("mkdserve").exception("fault, request %s, image %d", self.context.request_id, index)
            error = InferenceFailed("the service has a fault; it is logged under this request id")
        return ImageFailure(index=index, name=image.name, error=error, times=self._times(took))

    async def _judge(self, index: int, image: EncodedImage, permit: Permit, took: dict[str, float]) -> Judged:
        prepared = await self._in_thread("decode", took, prepare, image, self.version.judge, self.image_limits)
        judgement, tile = await self._ask_engine(prepared, took)
        pictures = None
        if self.pictures is not None:
            pictures = await self._in_thread(
                "encode",
                took,
                map_pictures,
                judgement.map,
                prepared,
                self.version,
                self.pictures,
                image.data,
                self.image_limits,
                judgement.group,
            )
            permit.holding(pictures.size)
        verdict = verdict_of(
            judgement.score,
            prepared,
            self.version,
            self.thresholds,
            index=index,
            name=image.name,
            times=self._times(took),
            pictures=pictures,
            decided_by=judgement.decided_by,
            tile=tile,
            group=judgement.group,
        )
        return verdict, prepared

    async def _ask_engine(self, prepared: PreparedImage, took: dict[str, float]) -> tuple[TimedJudgement, Box | None]:
        judge = self.version.judge
        rows = judge.rows(prepared, wants_map=self.pictures is not None)
        answers = await self.engine.judge(rows, deadline=self.context.deadline)
        judged = []
        for answer in answers:
            if isinstance(answer, ServiceError):
                raise answer
            judged.append(answer)
        self._took("queue", max(answer.queue_s for answer in judged), took)
        self._took("device", max(answer.device_s for answer in judged), took)
        joined = judge.join(prepared, judged)
        return joined, judge.deciding_tile(judged, joined)

    async def _in_thread(
        self, stage: str, took: dict[str, float], work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The result of `work`, before the deadline and within its budget, with the time that it took itself."""

        def timed() -> tuple[T, float]:
            started = time.perf_counter()
            return work(*args, **kwargs), time.perf_counter() - started

        try:
            result, seconds = await in_time(self.threads.run(timed), self.context.deadline)
        except OverBudget:
            raise ImageError("image_too_costly", f"to {stage} it took longer than one image may take") from None
        self._took(stage, seconds, took)
        return result

    def _took(self, stage: str, seconds: float, took: dict[str, float]) -> None:
        took[stage] = seconds
        self.context.took(stage, seconds)

    def _times(self, took: dict[str, float]) -> StageTimes:
        return StageTimes(**took, total=time.monotonic() - self.context.started)
