"""Folders of real artifacts, with a device that proves whatever it is told to."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.artifact import (
    SUMS,
    Artifact,
    ArtifactError,
    GoldenRecord,
    Manifest,
    SourceRecord,
    TrainingRecord,
    write_artifact,
)
from models.calibration import calibrate
from models.cloner import folded_cloner
from models.heads.mkd import MkdConfig, MkdHead
from models.preprocess import Preprocessing
from service.errors import (
    ArtifactRefused,
    DeadlineExceeded,
    NotReady,
    ProductNotFound,
    ProductRequired,
    VersionNotFound,
)
from service.metrics import Metrics
from service.products.catalogue import Catalogue, in_order
from service.products.registry import Registry


def write(path: Path, *, product: str = "screw", version: str = "1", seed: int = 0) -> Artifact:
    """An artifact with one tap, untrained; the seed makes its contents."""
    torch.manual_seed(seed)
    config = MkdConfig(taps=("pool2",), tap_scales=(1.0,), score_weights=((1.0, 1.0),), map_weights=((1.0, 1.0),))
    head = MkdHead(config, folded_cloner("small", ("pool2",), input_range="centred"))
    for parameter in head.parameters():
        parameter.data.normal_(0, 0.1)
    manifest = Manifest(
        product=product,
        version=version,
        method="mkd",
        created_at="2026-01-01T00:00:00Z",
        source=SourceRecord(
            weights="IMAGENET1K_FEATURES", sha256="0" * 64, normalisation="source", licence="CC BY 4.0"
        ),
        preprocessing=Preprocessing(image_size=32),
        head=config.model_dump(mode="json"),
        calibration=calibrate(np.arange(1, 9, dtype=np.float32), np.random.rand(8, 4, 4).astype(np.float32)),
        training=TrainingRecord(settings={}, images_trained=8, images_held_out=8, data_sha256="0" * 64),
        golden=(GoldenRecord(file="golden/0.png", score=1.0, map_peak=1.0),),
        packages={},
    )
    return write_artifact(path, manifest, head, [b"png"])


def spoil(path: Path) -> None:
    """Flip one byte of the head's tensors."""
    file = path / "head.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))


@asynccontextmanager
async def opened(
    root: Path, prove: Callable[[Artifact], None] = lambda _: None, **kwargs: Any
) -> AsyncIterator[Registry]:
    registry = Registry(root, prove=prove, metrics=kwargs.pop("metrics", Metrics()), watch_s=0, **kwargs)
    await registry.start()
    try:
        yield registry
    finally:
        await registry.stop()


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 60))


async def version_of(registry: Registry, product: str | None = "screw") -> str:
    async with registry.lease(product) as version:
        return version.version


def test_versions_are_ordered_as_people_count() -> None:
    assert in_order(["v10", "v9", "v1.10", "v1.9", "2024-11-02", "2024-2-3"]) == [
        "2024-2-3",
        "2024-11-02",
        "v1.9",
        "v1.10",
        "v9",
        "v10",
    ]


def test_a_plain_artifact_and_a_numbered_one_are_served(tmp_path: Path) -> None:
    write(tmp_path / "bolt", product="bolt", version="7")
    write(tmp_path / "screw/v9", seed=1)
    write(tmp_path / "screw/v10", seed=2)

    async def check() -> None:
        async with opened(tmp_path) as registry:
            assert [await version_of(registry, "bolt"), await version_of(registry)] == ["7", "v10"]
            bolt, screw = registry.products()
            assert (bolt.versions, screw.versions) == ((), ("v9", "v10"))
            assert (screw.state, screw.method, screw.pinned) == ("served", "mkd", None)
            assert registry.ready() == (True, "")

    run(check())


def test_the_product_may_be_left_out_where_there_is_one(tmp_path: Path) -> None:
    write(tmp_path / "screw")

    async def check() -> None:
        async with opened(tmp_path) as registry:
            assert await version_of(registry, None) == "1"
            write(tmp_path / "bolt", product="bolt")
            await registry.look()
            with pytest.raises(ProductRequired, match="bolt, screw"):
                await version_of(registry, None)

    run(check())


def test_an_unknown_product_is_answered_with_those_that_exist(tmp_path: Path) -> None:
    write(tmp_path / "screw")

    async def check() -> None:
        async with opened(tmp_path) as registry:
            for name in ("nut", "../screw", "screw/../screw", "", "."):
                with pytest.raises(ProductNotFound, match="screw"):
                    registry.status(name)
            with pytest.raises(ProductNotFound):
                await registry.activate("../../etc", "1")
            with pytest.raises(VersionNotFound, match="there are"):
                await registry.activate("screw", "../bolt")

    run(check())


def test_folders_with_other_names_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "screw")
    write(tmp_path / ".hidden")
    (tmp_path / "notes").mkdir()
    (tmp_path / "readme.txt").write_text("hello")

    async def check() -> None:
        async with opened(tmp_path) as registry:
            assert [status.name for status in registry.products()] == ["screw"]

    run(check())


def test_an_empty_folder_starts_and_is_not_ready(tmp_path: Path) -> None:
    async def check() -> None:
        async with opened(tmp_path / "nothing") as registry:
            assert not registry.ready()[0]
            with pytest.raises(NotReady):
                await version_of(registry, None)
            write(tmp_path / "nothing/screw")
            await registry.look()
            assert await version_of(registry) == "1"

    run(check())


def test_a_bad_artifact_changes_nothing_and_says_why(tmp_path: Path) -> None:
    write(tmp_path / "screw/1")

    async def check() -> None:
        async with opened(tmp_path) as registry:
            write(tmp_path / "screw/2", seed=2)
            spoil(tmp_path / "screw/2")
            await registry.look()
            assert await version_of(registry) == "1"
            assert "head.safetensors" in registry.status("screw").problems["2"]
            assert str(tmp_path) not in registry.status("screw").problems["2"]
            for attempt in (registry.load("screw"), registry.load("screw", "2"), registry.activate("screw", "2")):
                with pytest.raises(ArtifactRefused, match="SHA-256"):
                    await attempt
            assert registry.status("screw").pinned is None
            assert await version_of(registry) == "1"

    run(check())


def test_a_bad_artifact_is_not_tried_again_until_its_files_change(tmp_path: Path) -> None:
    write(tmp_path / "screw/1")
    write(tmp_path / "screw/2", seed=2)
    spoil(tmp_path / "screw/2")
    metrics = Metrics()

    async def check() -> None:
        async with opened(tmp_path, metrics=metrics) as registry:
            await registry.look()
            await registry.look()
            assert metrics.value("mkd_head_loads_total", outcome="refused") == 1
            write(tmp_path / "screw/2", seed=2)
            await registry.look()
            assert await version_of(registry) == "2"
            assert registry.status("screw").problems == {}

    run(check())


def test_a_start_with_a_bad_highest_version_serves_the_next_one(tmp_path: Path) -> None:
    write(tmp_path / "screw/1")
    write(tmp_path / "screw/2", seed=2)
    spoil(tmp_path / "screw/2")

    async def check() -> None:
        async with opened(tmp_path) as registry:
            assert await version_of(registry) == "1"

    run(check())


def test_an_active_artifact_whose_files_go_bad_is_served_from_memory(tmp_path: Path) -> None:
    write(tmp_path / "screw/1")
    write(tmp_path / "screw/2", seed=2)

    async def check() -> None:
        async with opened(tmp_path) as registry:
            spoil(tmp_path / "screw/2")
            await registry.look()
            await registry.look()
            assert await version_of(registry) == "2"
            assert "2" in registry.status("screw").problems

    run(check())


def test_wrong_golden_scores_refuse_an_artifact(tmp_path: Path) -> None:
    write(tmp_path / "screw")

    def prove(artifact: Artifact) -> None:
        raise ArtifactError(artifact.path / "golden/0.png", "scores 2 here and 1 when it was made")

    async def check() -> None:
        async with opened(tmp_path, prove) as registry:
            assert registry.status("screw").state == "refused"
            assert "scores 2 here" in registry.ready()[1]
            with pytest.raises(NotReady, match="scores 2 here"):
                await version_of(registry)

    run(check())


@pytest.mark.parametrize("error", [NotReady("no device"), RuntimeError("batch of 32 does not fit")])
def test_a_device_that_cannot_run_an_artifact_stops_the_start(tmp_path: Path, error: Exception) -> None:
    write(tmp_path / "screw")

    def prove(_: Artifact) -> None:
        raise error

    async def check() -> None:
        with pytest.raises(NotReady, match=str(error)):
            async with opened(tmp_path, prove):
                pass

    run(check())


def test_requests_in_flight_finish_on_the_version_that_they_leased(tmp_path: Path) -> None:
    write(tmp_path / "screw/1")
    metrics = Metrics()

    async def check() -> None:
        async with opened(tmp_path, metrics=metrics) as registry:
            async with registry.lease("screw") as old:
                head = old.head
                for number in (2, 3, 4):
                    write(tmp_path / f"screw/{number}", seed=number)
                    await registry.look()
                assert await version_of(registry) == "4"
                assert (old.version, old.head) == ("1", head)
                assert metrics.value("mkd_heads_loaded") == 3  # active, previous, leased
            assert metrics.value("mkd_heads_loaded") == 2
            assert metrics.value("mkd_swaps_total", product="screw") == 4

    run(check())


def test_activate_pins_and_newer_versions_do_not_take_over(tmp_path: Path) -> None:
    for number in (1, 2):
        write(tmp_path / f"screw/{number}", seed=number)

    async def check() -> None:
        async with opened(tmp_path) as registry:
            status = await registry.activate("screw", "1")
            assert (status.version, status.pinned, status.previous) == ("1", "1", "2")
            write(tmp_path / "screw/3", seed=3)
            await registry.look()
            assert await version_of(registry) == "1"
            assert (await registry.unpin("screw")).version == "3"

    run(check())


def test_pins_survive_a_restart_and_reach_other_processes(tmp_path: Path) -> None:
    for number in (1, 2):
        write(tmp_path / f"art/screw/{number}", seed=number)
    state = tmp_path / "state/pins.json"

    async def check() -> None:
        async with opened(tmp_path / "art", state_file=state) as one, opened(tmp_path / "art", state_file=state) as two:
            await one.activate("screw", "1")
            assert await version_of(two) == "2"
            await two.look()
            assert await version_of(two) == "1"
        async with opened(tmp_path / "art", state_file=state) as later:
            assert await version_of(later) == "1"
            assert (await later.rollback("screw")).version == "2"
        assert json.loads(state.read_text())["products"]["screw"]["pin"] == "2"
        assert [file.name for file in state.parent.iterdir() if file.suffix != ".lock"] == ["pins.json"]

    run(check())


def test_a_state_file_that_is_not_ours_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "pins.json").write_text('{"products": 5}')
    with pytest.raises(ValueError, match="not a state file"):
        Registry(tmp_path, prove=lambda _: None, metrics=Metrics(), state_file=tmp_path / "pins.json")


def test_a_pin_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    for number in (1, 2):
        write(tmp_path / f"art/screw/{number}", seed=number)
    (tmp_path / "state").mkdir()

    async def check() -> None:
        async with opened(tmp_path / "art", state_file=tmp_path / "state/pins.json") as registry:
            shutil.rmtree(tmp_path / "state")
            (tmp_path / "state").write_text("a file where the folder was")
            with pytest.raises(ArtifactRefused, match="nothing has changed"):
                await registry.activate("screw", "1")

    run(check())


def test_rollback_returns_to_what_was_active_before(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        write(tmp_path / f"screw/{number}", seed=number)

    async def check() -> None:
        async with opened(tmp_path) as registry:
            await registry.activate("screw", "1")
            assert (await registry.rollback("screw")).version == "3"
            assert (await registry.rollback("screw")).version == "1"

    run(check())


def test_rollback_right_after_the_start_goes_one_version_down_and_not_below_the_first(tmp_path: Path) -> None:
    for number in (1, 2):
        write(tmp_path / f"screw/{number}", seed=number)
    write(tmp_path / "bolt", product="bolt")

    async def check() -> None:
        async with opened(tmp_path) as registry:
            assert (await registry.rollback("screw")).version == "1"
            with pytest.raises(VersionNotFound):
                await registry.rollback("bolt")

    run(check())


def test_a_plain_artifact_that_was_replaced_can_be_rolled_back(tmp_path: Path) -> None:
    write(tmp_path / "screw", version="1", seed=1)

    async def check() -> None:
        async with opened(tmp_path) as registry:
            write(tmp_path / "screw", version="2", seed=2)
            await registry.look()
            assert await version_of(registry) == "2"
            await registry.rollback("screw")
            await registry.look()
            assert await version_of(registry) == "1"
            await registry.load("screw")
            assert await version_of(registry) == "2"

    run(check())


def test_an_unloaded_product_is_refused_until_it_is_loaded(tmp_path: Path) -> None:
    write(tmp_path / "screw")
    metrics = Metrics()

    async def check() -> None:
        async with opened(tmp_path, metrics=metrics) as registry:
            assert (await registry.unload("screw")).state == "unloaded"
            await registry.look()
            with pytest.raises(NotReady, match="unloaded"):
                await version_of(registry)
            assert metrics.value("mkd_heads_loaded") == 0
            assert (await registry.load("screw")).state == "served"
            assert await version_of(registry) == "1"

    run(check())


def test_the_active_calibration_is_known_by_its_time_and_its_promise(tmp_path: Path) -> None:
    write(tmp_path / "screw")
    metrics = Metrics()

    async def check() -> None:
        async with opened(tmp_path, metrics=metrics) as registry:
            made = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
            assert metrics.value("mkd_calibration_timestamp_seconds", product="screw") == made
            assert metrics.value("mkd_promised_ng_ratio", product="screw") == pytest.approx(1 / 9)
            await registry.unload("screw")
            assert "mkd_promised_ng_ratio{" not in metrics.render().decode()

    run(check())


def test_a_named_version_is_loaded_and_waits_to_be_activated(tmp_path: Path) -> None:
    for number in (1, 2):
        write(tmp_path / f"screw/{number}", seed=number)
    metrics = Metrics()

    async def check() -> None:
        async with opened(tmp_path, metrics=metrics) as registry:
            assert (await registry.load("screw", "1")).version == "2"
            assert metrics.value("mkd_heads_loaded") == 2
            with pytest.raises(VersionNotFound, match="there are: 1, 2"):
                await registry.load("screw", "3")

    run(check())


def test_a_removed_product_goes_only_when_two_looks_have_missed_it(tmp_path: Path) -> None:
    write(tmp_path / "screw")

    async def check() -> None:
        async with opened(tmp_path) as registry:
            shutil.rmtree(tmp_path / "screw")
            await registry.look()
            assert await version_of(registry) == "1"
            await registry.look()
            with pytest.raises(ProductNotFound):
                await version_of(registry)

    run(check())


def test_a_folder_that_comes_back_between_two_looks_was_never_gone(tmp_path: Path) -> None:
    write(tmp_path / "screw/1")
    catalogue = Catalogue(tmp_path)
    before = catalogue.look()
    (tmp_path / "screw").rename(tmp_path / "away")
    assert "screw" in catalogue.look()
    (tmp_path / "away").rename(tmp_path / "screw")
    assert catalogue.look()["screw"] == before["screw"]


def test_the_memory_budget_unloads_the_least_recently_used_which_comes_back_on_demand(tmp_path: Path) -> None:
    size = write(tmp_path / "a", product="a", seed=1).head.size_bytes
    for seed, name in enumerate(("b", "c"), start=2):
        write(tmp_path / name, product=name, seed=seed)
    metrics = Metrics()
    proofs: list[str] = []

    async def check() -> None:
        def prove(artifact: Artifact) -> None:
            proofs.append(artifact.manifest.product)

        async with opened(tmp_path, prove, metrics=metrics, head_memory_bytes=2 * size) as registry:
            assert [status.state for status in registry.products()] == ["resting", "served", "served"]
            await version_of(registry, "b")
            assert await version_of(registry, "a") == "1"
            assert [status.state for status in registry.products()] == ["served", "served", "resting"]
            assert metrics.value("mkd_head_unloads_total", reason="budget") == 2
            assert metrics.value("mkd_head_bytes") == 2 * size
            assert registry.ready()[0]
            async with registry.lease("a"), registry.lease("b"), registry.lease("c"):
                assert metrics.value("mkd_heads_loaded") == 3  # what is in use stays
            assert metrics.value("mkd_heads_loaded") == 2

    run(check())
    assert proofs == ["a", "b", "c"]


def test_many_requests_for_a_resting_product_load_it_once(tmp_path: Path) -> None:
    size = write(tmp_path / "a", product="a", seed=1).head.size_bytes
    write(tmp_path / "b", product="b", seed=2)
    metrics = Metrics()

    async def check() -> None:
        async with opened(tmp_path, metrics=metrics, head_memory_bytes=size) as registry:
            await asyncio.gather(*(version_of(registry, "a") for _ in range(20)))
            assert metrics.value("mkd_head_loads_total", outcome="ok") == 3

    run(check())


def test_a_resting_product_whose_files_were_replaced_is_proven_anew(tmp_path: Path) -> None:
    size = write(tmp_path / "a", product="a", seed=1).head.size_bytes
    write(tmp_path / "b", product="b", seed=2)

    async def check() -> None:
        async with opened(tmp_path, head_memory_bytes=size) as registry:
            write(tmp_path / "a", product="a", version="2", seed=3)
            assert await version_of(registry, "a") == "2"

    run(check())


def test_waiting_for_a_resting_product_ends_at_the_deadline(tmp_path: Path) -> None:
    size = write(tmp_path / "a", product="a", seed=1).head.size_bytes
    write(tmp_path / "b", product="b", seed=2)
    slow = threading.Event()

    async def check() -> None:
        async with opened(tmp_path, head_memory_bytes=size) as registry:
            registry._restores.submit(slow.wait, 20)
            with pytest.raises(DeadlineExceeded):
                async with registry.lease("a", deadline=time.monotonic() + 0.02):
                    pass
            slow.set()
            assert await version_of(registry, "a") == "1"

    run(check())


def test_the_watch_takes_new_versions_over_by_itself(tmp_path: Path) -> None:
    write(tmp_path / "screw/1")

    async def check() -> None:
        registry = Registry(tmp_path, prove=lambda _: None, metrics=Metrics(), watch_s=0.01)
        await registry.start()
        write(tmp_path / "screw/2", seed=2)
        while await version_of(registry) != "2":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await registry.stop()

    run(check())


def test_artifact_info_shows_the_active_version_alone(tmp_path: Path) -> None:
    write(tmp_path / "screw/1")
    metrics = Metrics()

    async def check() -> None:
        async with opened(tmp_path, metrics=metrics) as registry:
            write(tmp_path / "screw/2", seed=2)
            await registry.look()
            status = registry.status("screw")
            lines = [line for line in metrics.render().decode().splitlines() if line.startswith("mkd_artifact_info{")]
            assert len(lines) == 1
            assert f'hash="{status.hash}"' in lines[0]
            assert 'version="2"' in lines[0]

    run(check())


def test_a_half_copied_artifact_is_taken_once_it_is_whole(tmp_path: Path) -> None:
    write(tmp_path / "away")
    sums = (tmp_path / "away" / SUMS).read_bytes()
    (tmp_path / "away" / SUMS).unlink()
    (tmp_path / "art").mkdir()
    (tmp_path / "away").rename(tmp_path / "art/screw")

    async def check() -> None:
        async with opened(tmp_path / "art") as registry:
            assert registry.status("screw").state == "refused"
            (tmp_path / "art/screw" / SUMS).write_bytes(sums)
            await registry.look()
            assert await version_of(registry) == "1"

    run(check())
