"""Activate, unpin, roll back, load and unload: what operators decide, and how long it holds."""

from __future__ import annotations

import asyncio
import json
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from service.errors import (
    ArtifactRefused,
    NotReady,
    VersionNotFound,
)
from service.metrics import Metrics
from service.products.agreement import Agreement
from service.products.registry import Registry

if TYPE_CHECKING:
    from tests.service.products.conftest import Stock


def test_requests_in_flight_finish_on_the_version_that_they_leased(stock: Stock) -> None:
    stock.write("screw/1")
    metrics = Metrics()

    async def check() -> None:
        async with stock.opened(metrics=metrics) as registry:
            async with registry.lease("screw") as old:
                head = old.head
                for number in (2, 3, 4):
                    stock.write(f"screw/{number}", seed=number)
                    await registry.look()
                assert await stock.version_of(registry) == "4"
                assert (old.version, old.head) == ("1", head)
                assert metrics.value("mkd_heads_loaded") == 3  # active, previous, leased
            assert metrics.value("mkd_heads_loaded") == 2
            assert metrics.value("mkd_swaps_total", product="screw") == 4

    asyncio.run(check())


def test_activate_pins_and_newer_versions_do_not_take_over(stock: Stock) -> None:
    for number in (1, 2):
        stock.write(f"screw/{number}", seed=number)

    async def check() -> None:
        async with stock.opened() as registry:
            status = await registry.activate("screw", "1")
            assert (status.version, status.pinned, status.previous) == ("1", "1", "2")
            stock.write("screw/3", seed=3)
            await registry.look()
            assert await stock.version_of(registry) == "1"
            assert (await registry.unpin("screw")).version == "3"

    asyncio.run(check())


def test_pins_survive_a_restart_and_reach_other_processes(stock: Stock) -> None:
    for number in (1, 2):
        stock.write(f"art/screw/{number}", seed=number)
    state = stock.root / "state/pins.json"

    async def check() -> None:
        async with (
            stock.opened(within="art", state_file=state) as one,
            stock.opened(within="art", state_file=state) as two,
        ):
            await one.activate("screw", "1")
            assert await stock.version_of(two) == "2"
            await two.look()
            assert await stock.version_of(two) == "1"
        async with stock.opened(within="art", state_file=state) as later:
            assert await stock.version_of(later) == "1"
            assert (await later.rollback("screw")).version == "2"
        assert json.loads(state.read_text())["products"]["screw"]["pin"] == "2"
        assert [file.name for file in state.parent.iterdir() if file.suffix != ".lock"] == ["pins.json"]

    asyncio.run(check())


def test_a_state_file_that_is_not_ours_stops_the_start(stock: Stock) -> None:
    (stock.root / "pins.json").write_text('{"products": 5}')
    with pytest.raises(ValueError, match="not a state file"):
        Registry(stock.root, validate=lambda _: None, metrics=Metrics(), state_file=stock.root / "pins.json")


def test_a_pin_that_cannot_be_written_changes_nothing(stock: Stock) -> None:
    for number in (1, 2):
        stock.write(f"art/screw/{number}", seed=number)
    (stock.root / "state").mkdir()

    async def check() -> None:
        async with stock.opened(within="art", state_file=stock.root / "state/pins.json") as registry:
            shutil.rmtree(stock.root / "state")
            (stock.root / "state").write_text("a file where the folder was")
            with pytest.raises(ArtifactRefused, match="nothing has changed"):
                await registry.activate("screw", "1")

    asyncio.run(check())


def test_rollback_returns_to_what_was_active_before(stock: Stock) -> None:
    for number in (1, 2, 3):
        stock.write(f"screw/{number}", seed=number)

    async def check() -> None:
        async with stock.opened() as registry:
            await registry.activate("screw", "1")
            assert (await registry.rollback("screw")).version == "3"
            assert (await registry.rollback("screw")).version == "1"

    asyncio.run(check())


def test_rollback_right_after_the_start_goes_one_version_down_and_not_below_the_first(stock: Stock) -> None:
    for number in (1, 2):
        stock.write(f"screw/{number}", seed=number)
    stock.write("bolt", product="bolt")

    async def check() -> None:
        async with stock.opened() as registry:
            assert (await registry.rollback("screw")).version == "1"
            with pytest.raises(VersionNotFound):
                await registry.rollback("bolt")

    asyncio.run(check())


def test_a_plain_artifact_that_was_replaced_can_be_rolled_back(stock: Stock) -> None:
    stock.write("screw", version="1", seed=1)

    async def check() -> None:
        async with stock.opened() as registry:
            stock.write("screw", version="2", seed=2)
            await registry.look()
            assert await stock.version_of(registry) == "2"
            await registry.rollback("screw")
            await registry.look()
            assert await stock.version_of(registry) == "1"
            await registry.load("screw")
            assert await stock.version_of(registry) == "2"

    asyncio.run(check())


def test_a_plain_rollback_ends_with_the_process_which_then_serves_what_lies_in_the_folder(stock: Stock) -> None:
    stock.write("art/screw", version="1", seed=1)
    state = stock.root / "pins.json"

    async def check() -> None:
        async with stock.opened(within="art", state_file=state) as registry:
            stock.write("art/screw", version="2", seed=2)
            await registry.look()
            assert (await registry.rollback("screw")).version == "1"
        async with stock.opened(within="art", state_file=state) as later:
            assert await stock.version_of(later) == "2"

    asyncio.run(check())


def test_a_plain_rollback_is_refused_where_other_processes_would_not_follow(stock: Stock) -> None:
    stock.write("screw", version="1", seed=1)

    async def check() -> None:
        shared = stock.root / "shared"
        shared.mkdir()
        Agreement.begin(shared)
        async with stock.opened(shared=shared) as registry:
            stock.write("screw", version="2", seed=2)
            await registry.look()
            with pytest.raises(ArtifactRefused, match="NAME/VERSION"):
                await registry.rollback("screw")
            assert await stock.version_of(registry) == "2"

    asyncio.run(check())


def test_an_unloaded_product_is_refused_until_it_is_loaded(stock: Stock) -> None:
    stock.write("screw")
    metrics = Metrics()

    async def check() -> None:
        async with stock.opened(metrics=metrics) as registry:
            assert (await registry.unload("screw")).state == "unloaded"
            await registry.look()
            with pytest.raises(NotReady, match="unloaded"):
                await stock.version_of(registry)
            assert metrics.value("mkd_heads_loaded") == 0
            assert (await registry.load("screw")).state == "served"
            assert await stock.version_of(registry) == "1"

    asyncio.run(check())


def test_a_named_version_is_loaded_and_waits_to_be_activated(stock: Stock) -> None:
    for number in (1, 2):
        stock.write(f"screw/{number}", seed=number)
    metrics = Metrics()

    async def check() -> None:
        async with stock.opened(metrics=metrics) as registry:
            assert (await registry.load("screw", "1")).version == "2"
            assert metrics.value("mkd_heads_loaded") == 2
            with pytest.raises(VersionNotFound, match="there are: 1, 2"):
                await registry.load("screw", "3")

    asyncio.run(check())


def test_artifact_info_shows_the_active_version_alone(stock: Stock) -> None:
    stock.write("screw/1")
    metrics = Metrics()

    async def check() -> None:
        async with stock.opened(metrics=metrics) as registry:
            stock.write("screw/2", seed=2)
            await registry.look()
            status = registry.status("screw")
            lines = [line for line in metrics.render().decode().splitlines() if line.startswith("mkd_artifact_info{")]
            assert len(lines) == 1
            assert f'hash="{status.hash}"' in lines[0]
            assert 'version="2"' in lines[0]

    asyncio.run(check())


def test_the_active_calibration_is_known_by_its_time_and_its_promise(stock: Stock) -> None:
    stock.write("screw")
    metrics = Metrics()

    async def check() -> None:
        async with stock.opened(metrics=metrics) as registry:
            made = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
            assert metrics.value("mkd_calibration_timestamp_seconds", product="screw") == made
            assert metrics.value("mkd_promised_ng_ratio", product="screw") == pytest.approx(1 / 9)
            await registry.unload("screw")
            assert "mkd_promised_ng_ratio{" not in metrics.render().decode()

    asyncio.run(check())
