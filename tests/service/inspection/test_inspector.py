"""The core judges for any surface: bytes, a product, options and a context in, verdicts or errors out, without HTTP."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from models.backends.base import SourceKey
from models.calibration.conformal import Calibration, MapScale
from models.detector import Row
from models.heads.base import Head
from models.image_judge import ImageJudge
from models.imaging.decode import ImageError, ImageLimits
from models.imaging.preprocess import Preprocessing
from service.engine.admission import Admission
from service.engine.engine import Engine, TimedJudgement
from service.engine.observer import Observer
from service.errors import InferenceFailed, Overloaded, ProductNotFound, RateNotPromised, ServiceError
from service.inspection import inspection as inspection_module
from service.inspection.context import InspectionContext, LineContext
from service.inspection.decode import prepare
from service.inspection.encoded_image import EncodedImage
from service.inspection.inspector import Inspector
from service.inspection.metrics_observer import MetricsObserver
from service.inspection.observers import Observers, Picture, VerdictObserver
from service.inspection.options import InspectionOptions, PictureOptions
from service.inspection.thread_pool import WorkerThreads
from service.inspection.verdict import ImageFailure, Verdict
from service.metrics import Metrics
from service.products.registry import Registry

SIDE = 32
PREPROCESSING = Preprocessing(image_size=SIDE)
CALIBRATION = Calibration(
    scores=tuple(np.linspace(0.0, 0.8, 199).tolist()),
    map_scale=MapScale(low=0.0, high=1.0, threshold=0.5, rate_promised=0.05),
)
Answer = Callable[[Row], TimedJudgement | ServiceError]


@dataclass(frozen=True)
class BrightnessVersion:
    """A version whose score is the picture's brightness: dark is OK, above 0.76 REVIEW, above 0.8 NG."""

    name: str = "screw"
    version: str = "1"
    hash: str = "ab" * 32
    method: str = "mkd"
    calibration: Calibration = CALIBRATION
    preprocessing: Preprocessing = PREPROCESSING
    input_statistics: None = None

    @property
    def judge(self) -> ImageJudge:
        return ImageJudge(cast(Head, None), cast(SourceKey, None), self.preprocessing)


def brightness(row: Row) -> TimedJudgement:
    map_ = np.asarray(row.image.mean(axis=0), dtype=np.float32) if row.wants_map else None
    return TimedJudgement(float(row.image.mean()), map_, 0.001, 0.002, 1)


class FakeEngine:
    """Answers each row by `answer`, within the bounds of a real admission."""

    def __init__(self, metrics: Metrics, max_images: int = 8) -> None:
        self.answer: Answer = brightness
        self.deadlines: list[float | None] = []
        self.in_flight: list[tuple[int, int]] = []
        self.admission = Admission(
            max_images=max_images, max_bytes=1 << 20, rate=lambda: None, observer=Observer(metrics)
        )

    async def judge(self, rows: Sequence[Row], *, deadline: float | None = None) -> list[TimedJudgement | ServiceError]:
        self.deadlines.append(deadline)
        self.in_flight.append((self.admission.images, self.admission.size))
        return [self.answer(row) for row in rows]


class FakeProducts:
    leased = 0

    @asynccontextmanager
    async def lease(self, product: str | None, *, deadline: float | None = None) -> AsyncIterator[BrightnessVersion]:
        if product not in (None, "screw"):
            raise ProductNotFound(f"{product!r} is not one of: screw")
        self.leased += 1
        try:
            yield BrightnessVersion()
        finally:
            self.leased -= 1


@dataclass
class Told(VerdictObserver):
    """Keeps what it is told."""

    name: str = "told"
    verdicts: list[tuple[Verdict, Picture]] = field(default_factory=list)
    failures: list[ImageFailure] = field(default_factory=list)

    def on_verdict(self, verdict: Verdict, picture: Picture) -> None:
        self.verdicts.append((verdict, picture))

    def on_failure(self, failure: ImageFailure, context: InspectionContext) -> None:
        self.failures.append(failure)


@dataclass
class Core:
    inspector: Inspector
    engine: FakeEngine
    products: FakeProducts
    metrics: Metrics
    told: Told

    def inspect(
        self,
        *images: bytes,
        product: str | None = None,
        options: InspectionOptions | None = None,
        context: InspectionContext | None = None,
    ) -> list[Verdict | ImageFailure]:
        encoded = [EncodedImage(data, f"{number}.png") for number, data in enumerate(images)]
        asked = self.inspector.inspect(
            encoded, product, options or InspectionOptions(), context or InspectionContext("r1", "test")
        )
        return asyncio.run(asked)


@pytest.fixture
def core() -> Iterator[Core]:
    metrics, told, products = Metrics(), Told(), FakeProducts()
    engine, threads = FakeEngine(metrics), WorkerThreads(2)
    observers = Observers((MetricsObserver(metrics), told), metrics)
    inspector = Inspector(cast(Registry, products), cast(Engine, engine), threads, ImageLimits(), observers)
    yield Core(inspector, engine, products, metrics, told)
    threads.close()


def png(light: float, size: tuple[int, int] = (40, 24)) -> bytes:
    stream = io.BytesIO()
    Image.new("L", size, round(light * 255)).save(stream, "PNG")
    return stream.getvalue()


def test_each_image_gets_a_verdict_or_an_error_of_its_own_in_order(core: Core) -> None:
    dark, wrong, bright = core.inspect(png(0.2), b"no image", png(0.95))
    assert isinstance(dark, Verdict)
    assert isinstance(wrong, ImageFailure)
    assert isinstance(bright, Verdict)
    assert (dark.index, dark.decision, bright.index, bright.decision) == (0, "OK", 2, "NG")
    assert (dark.product, dark.version, dark.method, dark.hash) == ("screw", "1", "mkd", "ab" * 32)
    assert (dark.name, dark.width, dark.height, dark.pictures) == ("0.png", 40, 24, None)
    assert dark.p_value == CALIBRATION.p_value(dark.score)
    assert dark.thresholds == CALIBRATION.thresholds()
    assert (wrong.index, wrong.name, wrong.error.code) == (1, "1.png", "image_unreadable")
    assert wrong.title == "The bytes are not an image."


def test_observers_are_told_of_verdicts_with_what_they_were_made_from_and_of_failures(core: Core) -> None:
    context = InspectionContext("r7", "page", line=LineContext(line="7"), caller="camera")
    before = time.time()
    image = png(0.2)
    core.inspect(image, b"no image", context=context)
    ((verdict, picture),) = core.told.verdicts
    assert verdict.index == 0
    assert [view.shape for view in picture.prepared.views] == [(3, SIDE, SIDE)]
    assert picture.data == image
    assert picture.context is context
    assert before <= picture.at <= time.time()
    assert [failure.index for failure in core.told.failures] == [1]
    assert core.metrics.value("mkd_images_total", outcome="ok") == 1
    assert core.metrics.value("mkd_images_total", outcome="image_unreadable") == 1
    assert core.metrics.value("mkd_decisions_total", product="screw", decision="OK") == 1
    assert core.metrics.value("mkd_score_to_threshold_ratio_count", product="screw") == 1
    assert core.metrics.value("mkd_stage_seconds_count", stage="decode") == 1
    assert core.metrics.value("mkd_stage_seconds_count", stage="encode") == 0


def test_the_context_comes_back_with_what_the_surface_logs(core: Core) -> None:
    context = InspectionContext("r1", "test", deadline=time.monotonic() + 60)
    core.inspect(png(0.2), png(0.95), b"no image", context=context)
    assert (context.product, context.version, context.images) == ("screw", "1", 3)
    assert context.decisions == {"OK": 1, "NG": 1}
    assert context.failures == {"image_unreadable": 1}
    assert set(context.slowest_s) == {"decode", "queue", "device"}
    assert core.engine.deadlines == [context.deadline] * 2


def test_pictures_and_regions_come_only_where_they_are_asked_for(core: Core) -> None:
    (plain,) = core.inspect(png(0.9), options=InspectionOptions(pictures=PictureOptions()))
    assert isinstance(plain, Verdict)
    assert plain.pictures is not None
    shown = Image.open(io.BytesIO(plain.pictures.map))
    assert (shown.size, shown.mode) == ((40, 24), "L")
    assert plain.pictures.regions[0].box == (0, 0, 40, 24)
    assert (plain.pictures.overlay, plain.pictures.mask) == (None, None)
    assert plain.times.encode > 0
    (whole,) = core.inspect(png(0.9), options=InspectionOptions(pictures=PictureOptions(overlay="heat", mask=True)))
    assert isinstance(whole, Verdict)
    assert whole.pictures is not None
    assert whole.pictures.overlay is not None
    assert Image.open(io.BytesIO(whole.pictures.overlay)).mode == "RGB"
    assert whole.pictures.mask is not None
    assert set(Image.open(io.BytesIO(whole.pictures.mask)).get_flattened_data()) == {255}


def test_finished_pictures_count_in_flight_until_the_answer_has_left(core: Core) -> None:
    context = InspectionContext("r1", "test")

    async def check() -> None:
        async with core.inspector.open(
            "screw", InspectionOptions(pictures=PictureOptions(overlay="heat")), context
        ) as one:
            with one.admit(2, 100) as permit:
                found = await one.judge([EncodedImage(png(0.9), "a.png"), EncodedImage(png(0.1), "b.png")], permit)
                made = sum(each.pictures.size for each in found if isinstance(each, Verdict) and each.pictures)
                assert made > 200
                assert core.engine.admission.size == 100 + made
                permit.answering(7)
                assert core.engine.admission.size == 7
            permit.holding(9)  # of a picture that came too late
            assert core.engine.admission.size == 0

    asyncio.run(check())


def test_a_rate_picks_the_threshold_and_one_that_cannot_be_promised_is_refused_unread(core: Core) -> None:
    options = InspectionOptions(max_false_reject=0.2, review=False)
    (verdict,) = core.inspect(png(0.7), options=options)
    assert isinstance(verdict, Verdict)
    assert verdict.decision == "NG"
    assert verdict.thresholds == CALIBRATION.thresholds(0.2, review=False)
    with pytest.raises(RateNotPromised, match="199 calibration images"):
        core.inspect(png(0.7), options=InspectionOptions(max_false_reject=0.001))
    assert len(core.engine.deadlines) == 1


def test_a_request_in_which_the_service_judged_nothing_raises_and_one_with_a_verdict_does_not(core: Core) -> None:
    core.engine.answer = lambda row: InferenceFailed("no") if row.image.mean() > 0.5 else brightness(row)
    with pytest.raises(InferenceFailed, match="no"):
        core.inspect(png(0.9), b"no image")
    first, second = core.inspect(png(0.9), png(0.1))
    assert isinstance(first, ImageFailure)
    assert isinstance(second, Verdict)
    unread = core.inspect(b"no image")
    assert isinstance(unread[0], ImageFailure)
    assert isinstance(unread[0].error, ImageError)


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_never_a_verdict(core: Core, score: float) -> None:
    core.engine.answer = lambda row: TimedJudgement(score, None, 0.0, 0.0, 1)
    with pytest.raises(InferenceFailed):
        core.inspect(png(0.1))
    assert core.told.verdicts == []


def test_a_fault_of_ours_is_one_images_error_and_is_logged(core: Core, caplog: pytest.LogCaptureFixture) -> None:
    def faulty(row: Row) -> Any:
        raise ZeroDivisionError("ours")

    core.engine.answer = faulty
    with pytest.raises(InferenceFailed, match="fault"):
        core.inspect(png(0.1))
    assert "r1" in caplog.text


def test_a_surface_without_a_permit_gets_one_for_all_its_images_and_gives_it_back(core: Core) -> None:
    images = [png(0.1), png(0.2), png(0.3)]
    core.inspect(*images)
    assert core.engine.in_flight == [(3, sum(map(len, images)))] * 3
    assert (core.engine.admission.images, core.engine.admission.size, core.products.leased) == (0, 0, 0)
    with pytest.raises(ServiceError, match="at most 8 images"):
        core.inspect(*[png(0.1)] * 9)


def test_a_surface_that_reads_piece_by_piece_brings_its_own_permit_which_grows(core: Core) -> None:
    async def in_steps() -> list[Verdict | ImageFailure]:
        context = InspectionContext("r1", "test")
        async with core.inspector.open(None, InspectionOptions(), context) as inspection:
            assert core.products.leased == 1
            with inspection.admit(size=100) as permit:
                images = [EncodedImage(png(0.1)), EncodedImage(png(0.2))]
                found = await inspection.judge(images, permit)
                assert (permit.images, permit.size) == (2, 100)
                return found

    assert len(asyncio.run(in_steps())) == 2
    assert core.engine.in_flight == [(2, 100)] * 2
    assert (core.engine.admission.images, core.products.leased) == (0, 0)


def test_what_is_refused_without_the_images_is_refused_before_they_are_read(core: Core) -> None:
    async def read() -> None:
        raise AssertionError("nothing must be read")

    async def refused(product: str | None) -> None:
        async with core.inspector.open(product, InspectionOptions(), InspectionContext("r1", "test")) as inspection:
            with inspection.admit():
                await read()

    with pytest.raises(ProductNotFound):
        asyncio.run(refused("bolt"))
    with core.engine.admission.try_admit(8), pytest.raises(Overloaded):
        asyncio.run(refused(None))
    assert core.products.leased == 0


def test_an_image_over_the_decoders_budget_is_an_error_of_its_own(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    threads = WorkerThreads(1, 0.02)
    slow = png(0.5)

    def prepare_or_wait(image: EncodedImage, *rest: Any) -> Any:
        if image.data == slow:
            release.wait(60)
        return prepare(image, *rest)

    monkeypatch.setattr(inspection_module, "prepare", prepare_or_wait)
    stuck, fine = replace(core, inspector=replace(core.inspector, threads=threads)).inspect(slow, png(0.2))
    assert isinstance(stuck, ImageFailure)
    assert stuck.error.code == "image_too_costly"
    assert isinstance(fine, Verdict)
    release.set()
    threads.close()
