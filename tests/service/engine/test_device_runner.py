"""The real detector behind the engine, with a source of a few weights: artifact in, verdict out, over every seam."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from models.artifact import Artifact, GoldenRecord, Manifest, SourceRecord, TrainingRecord, write_artifact
from models.backends.base import SourceKey
from models.backends.pool import SourcePool
from models.calibration.conformal import calibrate
from models.detector import Detector, Judgement, Row
from models.heads.mkd.cloner import folded_cloner
from models.heads.mkd.config import MkdRecord
from models.heads.mkd.head import MkdHead
from models.image_judge import PreparedImage
from models.imaging.preprocess import Prepared, Preprocessing
from models.sources.registry import SOURCES
from service.engine.batch_limit import BatchLimit
from service.engine.device_runner import DeviceRunner
from service.engine.engine import Engine, EngineSettings, TimedJudgement
from service.engine.latency_model import LatencyModel
from service.engine.validation import Validator
from service.errors import InferenceFailed, ServiceError
from service.metrics import Metrics
from service.products.product import ProductVersion
from service.products.registry import Registry

SIZE = 32
CPU = torch.device("cpu")


class TinySource:
    """pool2 of a source that is nothing but an average and its square, 128 channels wide."""

    name = "tiny"

    def activations(self, images: Tensor, taps: Collection[str] | None = None) -> dict[str, Tensor]:
        grey = torch.nn.functional.avg_pool2d(images.mean(1, keepdim=True), 4)
        return {"pool2": torch.cat([grey, grey**2], 1).repeat(1, 64, 1, 1)}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _tiny_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SourcePool, "_chosen", lambda self, key, workload: TinySource())


def write(path: Path, seed: int = 0) -> Artifact:
    torch.manual_seed(seed)
    config = MkdRecord(taps=("pool2",), tap_scales=(1.0,), score_weights=((1.0, 1.0),), map_weights=((1.0, 1.0),))
    head = MkdHead(config, folded_cloner("small", ("pool2",), SOURCES["vgg16"], input_range="centred"))
    for parameter in head.parameters():
        parameter.data.normal_(0, 0.1)
    source = SourceRecord(name="vgg16", sha256="0" * 64, normalisation="source", licence="CC BY 4.0")
    manifest = Manifest(
        product="screw",
        version="1",
        method="mkd",
        created_at="2026-01-01T00:00:00Z",
        source=source,
        preprocessing=Preprocessing(image_size=SIZE),
        head=config.model_dump(mode="json"),
        calibration=calibrate(np.linspace(1, 9, 9, dtype=np.float32), np.random.rand(9, 4, 4).astype(np.float32)),
        training=TrainingRecord(settings={}, images_trained=8, images_held_out=9, data_sha256="0" * 64),
        golden=(GoldenRecord(file="golden/0.png", score=0.0, map_peak=0.0),),
        packages={},
    )
    pixels = np.full((SIZE, SIZE, 3), 90, np.uint8)
    png = cv2.imencode(".png", pixels)[1].tobytes()
    draft = write_artifact(path, manifest, head, [png])
    (judgement,) = detector(draft).judge([row(draft, 90)])
    golden = GoldenRecord(file="golden/0.png", score=judgement.score, map_peak=0.0)
    return write_artifact(path, manifest.model_copy(update={"golden": (golden,)}), head, [png])


def detector(artifact: Artifact) -> Detector:
    return Detector(CPU, {artifact.source: TinySource()})


def row(artifact: Artifact, grey: int, *, wants_map: bool = False) -> Row:
    image = np.full((3, SIZE, SIZE), grey / 255, np.float32)
    return Row(image, artifact.head, artifact.source, wants_map)


def runner(kept: Path | None = None) -> DeviceRunner:
    return DeviceRunner(CPU, SourcePool(CPU, backend="torch"), kept)


@asynccontextmanager
async def served(root: Path, kept: Path | None = None) -> AsyncIterator[tuple[Engine, Registry]]:
    metrics = Metrics()
    engine = Engine({"cpu": lambda: runner(kept)}, EngineSettings(max_batch=4), metrics)
    registry = Registry(root, validate=engine.validate, metrics=metrics, watch_s=0)
    engine.start()
    try:
        await registry.start()
        yield engine, registry
    finally:
        await registry.stop()
        await engine.drain(1)


def row_of(version: ProductVersion, image: Prepared, *, wants_map: bool = False) -> Row:
    """The one row of a picture that is prepared already."""
    (found,) = version.judge.rows(PreparedImage((image,), SIZE, SIZE), wants_map=wants_map)
    return found


def judged(answers: list[TimedJudgement | ServiceError]) -> list[TimedJudgement]:
    found = [answer for answer in answers if isinstance(answer, TimedJudgement)]
    assert len(found) == len(answers)
    return found


def test_two_products_share_a_batch_and_score_as_they_do_alone(tmp_path: Path) -> None:
    artifacts = [write(tmp_path / "bolt", 1), write(tmp_path / "screw", 2)]

    async def check() -> None:
        async with (
            served(tmp_path) as (engine, registry),
            registry.lease("bolt") as bolt,
            registry.lease("screw") as screw,
        ):
            image = np.full((3, SIZE, SIZE), 0.3, np.float32)
            rows = [row_of(bolt, image, wants_map=True), row_of(screw, image), row_of(bolt, image)]
            first, second, third = judged(await engine.judge(rows))
            assert first.batch_size == 3
            assert first.map is not None
            assert first.map.shape == (SIZE, SIZE)
            assert second.map is None
            alone = [detector(each).judge([Row(image, each.head, each.source)])[0].score for each in artifacts]
            assert [first.score, second.score, third.score] == pytest.approx([alone[0], alone[1], alone[0]], rel=1e-4)
            assert first.score != pytest.approx(second.score, rel=1e-2)

    asyncio.run(check())


def test_hot_swaps_under_load_fail_no_request_and_mix_no_versions(tmp_path: Path) -> None:
    image = np.full((3, SIZE, SIZE), 0.3, np.float32)
    expected: dict[str, float] = {}
    for number in (1, 2):
        artifact = write(tmp_path / f"screw/{number}", number)
        expected[str(number)] = detector(artifact).judge([Row(image, artifact.head, artifact.source)])[0].score
    seen: set[str] = set()

    async def client(engine: Engine, registry: Registry, done: asyncio.Event) -> None:
        while not done.is_set():
            async with registry.lease("screw") as version:
                (outcome,) = judged(await engine.judge([row_of(version, image)]))
                assert outcome.score == pytest.approx(expected[version.version], rel=1e-4)
                seen.add(version.version)

    async def check() -> None:
        async with served(tmp_path) as (engine, registry):
            done = asyncio.Event()
            clients = [asyncio.create_task(client(engine, registry, done)) for _ in range(4)]
            for swap in range(20):
                await registry.activate("screw", str(1 + swap % 2))
            done.set()
            await asyncio.gather(*clients)
            assert engine.metrics.value("mkd_swaps_total", product="screw") >= 20

    asyncio.run(check())
    assert seen == {"1", "2"}


def test_validation_measures_the_latency_of_one_image_and_of_a_full_batch(tmp_path: Path) -> None:
    write(tmp_path / "screw")

    async def check() -> None:
        async with served(tmp_path) as (engine, _):
            assert engine._latency.images_per_second() is not None
            assert engine._latency.seconds(SIZE * SIZE) > 0

    asyncio.run(check())


def test_an_artifact_that_scores_otherwise_here_is_refused(tmp_path: Path) -> None:
    good = write(tmp_path / "a/good")
    wrong = good.manifest.model_copy(
        update={"golden": (good.manifest.golden[0].model_copy(update={"score": good.manifest.golden[0].score + 5}),)}
    )
    write_artifact(tmp_path / "a/wrong", wrong, good.head, [(good.path / "golden/0.png").read_bytes()])

    async def check() -> None:
        async with served(tmp_path / "a") as (_, registry):
            states = {status.name: status.state for status in registry.products()}
            assert states == {"good": "served", "wrong": "refused"}
            assert "golden/0.png" in registry.status("wrong").problems[""]

    asyncio.run(check())


def test_an_image_that_is_not_a_number_fails_alone(tmp_path: Path) -> None:
    write(tmp_path / "screw")

    async def check() -> None:
        async with served(tmp_path) as (engine, registry), registry.lease(None) as version:
            good = np.full((3, SIZE, SIZE), 0.3, np.float32)
            answers = await engine.judge([row_of(version, good), row_of(version, good * np.nan), row_of(version, good)])
            assert isinstance(answers[1], InferenceFailed)
            assert isinstance(answers[0], TimedJudgement)
            assert isinstance(answers[2], TimedJudgement)

    asyncio.run(check())


def test_a_new_worker_is_warmed_up_with_every_shape_that_was_proven(tmp_path: Path) -> None:
    artifact = write(tmp_path / "screw")
    other = dataclasses.replace(
        artifact,
        manifest=artifact.manifest.model_copy(update={"preprocessing": Preprocessing(image_size=64), "golden": ()}),
    )
    warmed: list[tuple[int, int]] = []

    class Watched(DeviceRunner):
        def warm(self, artifact: Artifact, images: int) -> float:
            warmed.append((artifact.preprocessing.image_size, images))
            return super().warm(artifact, images)

    engine = Engine(
        {"cpu": lambda: Watched(CPU, SourcePool(CPU, backend="torch"))},
        EngineSettings(max_batch=4, max_batch_pixels=8192),
    )
    engine.start()
    for each in (artifact, other, artifact):
        engine.validate(each)
    assert warmed == [(32, 1), (32, 4), (64, 1), (64, 2)]
    warmed.clear()
    engine._validator.warm_up(stepper_watched := Watched(CPU, SourcePool(CPU, backend="torch")), "cpu")
    assert warmed == [(32, 1), (32, 4), (64, 1), (64, 2)]
    assert stepper_watched.memory_bytes() > 0
    engine.stop()


def test_on_a_device_that_compiles_each_shape_is_run_twice() -> None:
    limits = {name: BatchLimit(4, 4 * SIZE * SIZE, recover_s=1.0, clock=time.monotonic) for name in ("cpu", "cuda:0")}
    validator = Validator(limits, LatencyModel())
    artifact = cast(Artifact, SimpleNamespace(preprocessing=Preprocessing(image_size=SIZE)))
    shape = (SourceKey("vgg16", "0" * 64, "source"), SIZE)
    assert validator._counts(artifact, "cpu", shape) == (1, 4)
    assert validator._counts(artifact, "cuda:0", shape) == (1, 1, 4, 4)


def test_a_later_start_judges_one_golden_picture_and_knows_its_steps(tmp_path: Path) -> None:
    artifact = write(tmp_path / "screw")
    warmed: list[int] = []

    class Watched(DeviceRunner):
        def warm(self, artifact: Artifact, images: int) -> float:
            warmed.append(images)
            return 0.25 * images

    def started(kept: Path | None, device: torch.device = CPU) -> DeviceRunner:
        return Watched(device, SourcePool(CPU, backend="torch", threads=2), kept)

    first = started(tmp_path / "kept")
    assert first.verify(artifact) == "all 1"
    assert [first.step_seconds(artifact, count) for count in (1, 4)] == [0.25, 1.0]
    later = started(tmp_path / "kept")
    assert later.verify(artifact).startswith("1 of 1, as all passed at ")
    assert [later.step_seconds(artifact, count) for count in (1, 4)] == [0.25, 1.0]
    assert warmed == [1, 4, 1, 2, 2]  # one image, and twice one for each thread
    assert later.step_seconds(artifact, 3) == 0.75  # another batch has not been measured
    another_size = artifact.manifest.model_copy(update={"preprocessing": Preprocessing(image_size=64)})
    later.step_seconds(dataclasses.replace(artifact, manifest=another_size), 4)
    assert warmed == [1, 4, 1, 2, 2, 3, 4]
    without = started(None)
    assert without.verify(artifact) == "all 1"
    without.step_seconds(artifact, 4)
    started(tmp_path / "kept", torch.device("cuda", 0)).step_seconds(artifact, 4)  # compiles in each process
    assert warmed == [1, 4, 1, 2, 2, 3, 4, 4, 4]


def test_a_step_that_was_measured_in_a_busy_moment_is_corrected_by_a_later_start(tmp_path: Path) -> None:
    artifact = write(tmp_path / "screw")
    an_image = 2.0

    class Timed(DeviceRunner):
        def warm(self, artifact: Artifact, images: int) -> float:
            return an_image * images

    def started() -> float:
        runner = Timed(CPU, SourcePool(CPU, backend="torch", threads=2), tmp_path / "kept")
        runner.prepare(artifact)
        return runner.step_seconds(artifact, 8)

    assert started() == 16.0
    an_image = 0.25
    assert started() == 2.0
    an_image = 4.0  # a busy moment at a later start changes nothing
    assert started() == 2.0


def test_memory_that_a_backend_keeps_is_given_back_when_the_engine_says_so(tmp_path: Path) -> None:
    given: list[str] = []

    class Keeping(TinySource):
        def give_back(self) -> None:
            given.append("back")

    artifact = write(tmp_path / "screw")
    pool = SourcePool(CPU, backend="torch")
    pool._backends[artifact.source] = Keeping()
    engine = Engine({"cpu": lambda: DeviceRunner(CPU, pool)}, EngineSettings(max_batch=4))
    engine.start()
    try:
        engine.give_back()
        assert given == ["back"]
        DeviceRunner(CPU, pool).relieve()
        assert given == ["back", "back"]
    finally:
        engine.stop()


def test_what_was_checked_is_said_of_each_product(tmp_path: Path) -> None:
    write(tmp_path / "artifacts" / "screw")
    found: list[str | None] = []

    async def check() -> None:
        async with served(tmp_path / "artifacts", kept=tmp_path / "kept") as (_, registry):
            found.append(registry.status("screw").golden_check)

    asyncio.run(check())
    asyncio.run(check())
    assert found[0] == "all 1"
    assert str(found[1]).startswith("1 of 1, as all passed at ")


@pytest.mark.parametrize(
    ("verdict", "wants_map", "complaint"),
    [
        (Judgement(1.0, None), False, None),
        (Judgement(1.0, np.zeros((SIZE, SIZE), np.float32)), True, None),
        (Judgement(float("nan"), None), False, "nan"),
        (Judgement(1.0, None), True, "missing"),
        (Judgement(1.0, np.zeros((SIZE, SIZE), np.float32)), False, "nobody"),
        (Judgement(1.0, np.zeros((8, 8), np.float32)), True, "(8, 8)"),
        (Judgement(1.0, np.full((SIZE, SIZE), np.inf, np.float32)), True, "finite"),
        (1.0, False, "float"),
    ],
)
def test_a_verdict_is_checked_against_its_row(
    tmp_path: Path, verdict: object, wants_map: bool, complaint: str | None
) -> None:
    found = runner().complaint(row(write(tmp_path / "screw"), 90, wants_map=wants_map), verdict)
    assert found == complaint if complaint is None else complaint in str(found)


def test_faults_of_the_device_are_told_apart() -> None:
    gpu = DeviceRunner(torch.device("cuda", 0), SourcePool(CPU, backend="torch"))
    assert gpu.diagnose(torch.OutOfMemoryError("CUDA out of memory")) == "memory"
    assert gpu.diagnose(RuntimeError("CUDA error: device-side assert triggered")) == "lost"
    assert gpu.diagnose(RuntimeError("shape mismatch")) == "images"
    assert runner().diagnose(MemoryError()) == "memory"
    assert runner().diagnose(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")) == "memory"
    assert runner().diagnose(RuntimeError("CUDA error: no")) == "images"
