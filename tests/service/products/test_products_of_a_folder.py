"""What lies in a folder is what is served: names, versions, and what a request may leave out."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from models.artifact import SUMS, Artifact
from service.errors import (
    NotReady,
    ProductNotFound,
    ProductRequired,
    VersionNotFound,
)
from service.metrics import Metrics
from service.products import registry as registry_module
from service.products.artifact_folder import in_order
from service.products.registry import Registry

if TYPE_CHECKING:
    from tests.service.products.conftest import Stock


def test_versions_are_ordered_as_people_count() -> None:
    assert in_order(["v10", "v9", "v1.10", "v1.9", "2024-11-02", "2024-2-3"]) == [
        "2024-2-3",
        "2024-11-02",
        "v1.9",
        "v1.10",
        "v9",
        "v10",
    ]


def test_a_plain_artifact_and_a_numbered_one_are_served(stock: Stock) -> None:
    stock.write("bolt", product="bolt", version="7")
    stock.write("screw/v9", seed=1)
    stock.write("screw/v10", seed=2)

    async def check() -> None:
        async with stock.opened() as registry:
            assert [await stock.version_of(registry, "bolt"), await stock.version_of(registry)] == ["7", "v10"]
            bolt, screw = registry.products()
            assert (bolt.versions, screw.versions) == ((), ("v9", "v10"))
            assert (screw.state, screw.method, screw.pinned) == ("served", "mkd", None)
            assert registry.ready() == (True, "")

    asyncio.run(check())


def test_the_product_may_be_left_out_where_there_is_one(stock: Stock) -> None:
    stock.write("screw")

    async def check() -> None:
        async with stock.opened() as registry:
            assert await stock.version_of(registry, None) == "1"
            stock.write("bolt", product="bolt")
            await registry.look()
            with pytest.raises(ProductRequired, match="bolt, screw"):
                await stock.version_of(registry, None)

    asyncio.run(check())


def test_an_unknown_product_is_answered_with_those_that_exist(stock: Stock) -> None:
    stock.write("screw")

    async def check() -> None:
        async with stock.opened() as registry:
            for name in ("nut", "../screw", "screw/../screw", "", "."):
                with pytest.raises(ProductNotFound, match="screw"):
                    registry.status(name)
            with pytest.raises(ProductNotFound):
                await registry.activate("../../etc", "1")
            with pytest.raises(VersionNotFound, match="there are"):
                await registry.activate("screw", "../bolt")

    asyncio.run(check())


def test_folders_with_other_names_are_left_alone(stock: Stock) -> None:
    stock.write("screw")
    stock.write(".hidden")
    (stock.root / "notes").mkdir()
    (stock.root / "readme.txt").write_text("hello")

    async def check() -> None:
        async with stock.opened() as registry:
            assert [status.name for status in registry.products()] == ["screw"]

    asyncio.run(check())


def test_an_empty_folder_starts_and_is_not_ready(stock: Stock) -> None:
    async def check() -> None:
        async with stock.opened(within="nothing") as registry:
            assert not registry.ready()[0]
            with pytest.raises(NotReady):
                await stock.version_of(registry, None)
            stock.write("nothing/screw")
            await registry.look()
            assert await stock.version_of(registry) == "1"

    asyncio.run(check())


def test_the_watch_takes_new_versions_over_by_itself(stock: Stock) -> None:
    stock.write("screw/1")

    async def check() -> None:
        registry = Registry(stock.root, validate=lambda _: None, metrics=Metrics(), watch_s=0.01)
        await registry.start()
        stock.write("screw/2", seed=2)
        while await stock.version_of(registry) != "2":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await registry.stop()

    asyncio.run(check())


def test_a_change_is_taken_over_long_before_the_next_look_is_due(stock: Stock) -> None:
    stock.write("screw/1")

    async def check() -> None:
        registry = Registry(stock.root, validate=lambda _: None, metrics=Metrics(), watch_s=3600)
        await registry.start()
        number = 2
        while await stock.version_of(registry) == "1":
            stock.write(f"screw/{number}", seed=number)  # again, as the first may come before the watch has begun
            number += 1
            await asyncio.sleep(0.5)
        await registry.stop()

    asyncio.run(check())


def test_a_system_that_gives_no_notice_is_looked_at_all_the_same(
    stock: Stock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", logger="mkdserve")  # a service that was started in this process may have set another
    stock.write("screw/1")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr(registry_module, "awatch", refuse)

    async def check() -> None:
        registry = Registry(stock.root, validate=lambda _: None, metrics=Metrics(), watch_s=0.01)
        await registry.start()
        stock.write("screw/2", seed=2)
        while await stock.version_of(registry) != "2":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await registry.stop()

    asyncio.run(check())
    assert [record.getMessage() for record in caplog.records].count("artifact folder not watched") == 1


def test_a_half_copied_artifact_is_taken_once_it_is_whole(stock: Stock) -> None:
    stock.write("away")
    sums = (stock.root / "away" / SUMS).read_bytes()
    (stock.root / "away" / SUMS).unlink()
    (stock.root / "art").mkdir()
    (stock.root / "away").rename(stock.root / "art/screw")

    async def check() -> None:
        async with stock.opened(within="art") as registry:
            assert registry.status("screw").state == "refused"
            (stock.root / "art/screw" / SUMS).write_bytes(sums)
            await registry.look()
            assert await stock.version_of(registry) == "1"

    asyncio.run(check())


def test_a_product_whose_first_version_is_being_proven_is_loading_and_not_refused(stock: Stock) -> None:
    stock.write("bolt", product="bolt")
    entered, proven = threading.Event(), threading.Event()

    def validate(artifact: Artifact) -> None:
        if artifact.manifest.product == "screw":
            entered.set()
            assert proven.wait(60)

    async def check() -> None:
        async with stock.opened(validate) as registry:
            stock.write("screw", seed=1)
            look = asyncio.create_task(registry.look())
            await asyncio.to_thread(entered.wait, 60)
            found = registry.status("screw")
            assert (found.state, found.problems) == ("loading", {})
            with pytest.raises(NotReady, match="screw: is being loaded"):
                await stock.version_of(registry, "screw")
            assert await stock.version_of(registry, "bolt") == "1"
            proven.set()
            await look
            assert registry.status("screw").state == "served"

    asyncio.run(check())
