"""A folder that goes away, is emptied or cannot be read changes nothing of what is served, and is told in words."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service.errors import ArtifactRefused, NotReady, ProductNotFound, ProductRequired
from service.metrics import Metrics
from service.products import artifact_folder

if TYPE_CHECKING:
    from tests.service.products.conftest import Stock


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_folder_that_is_gone_for_ever_is_served_from_memory_with_an_error_and_a_metric(
    stock: Stock, caplog: pytest.LogCaptureFixture
) -> None:
    stock.write("art/screw/1")
    stock.write("art/bolt", product="bolt")
    metrics, clock = Metrics(), Clock()

    async def check() -> None:
        async with stock.opened(within="art", metrics=metrics, clock=clock) as registry:
            (stock.root / "art").rename(stock.root / "unmounted")
            for _ in range(5):
                clock.now += 100
                await registry.look()
            assert [await stock.version_of(registry, name) for name in ("bolt", "screw")] == ["1", "1"]
            assert metrics.value("mkd_artifact_folder_unreadable") == 1
            assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
                "artifact folder"
            ]  # once, not at every look
            (stock.root / "unmounted").rename(stock.root / "art")
            await registry.look()
            assert metrics.value("mkd_artifact_folder_unreadable") == 0
            assert metrics.value("mkd_swaps_total", product="screw") == 1

    asyncio.run(check())


def test_a_folder_that_is_suddenly_empty_is_taken_for_an_unmounted_one(stock: Stock) -> None:
    stock.write("art/screw/1")
    metrics, clock = Metrics(), Clock()

    async def check() -> None:
        async with stock.opened(within="art", metrics=metrics, clock=clock) as registry:
            (stock.root / "art").rename(stock.root / "unmounted")
            (stock.root / "art").mkdir()
            for _ in range(5):
                clock.now += 100
                await registry.look()
            assert await stock.version_of(registry) == "1"
            assert metrics.value("mkd_artifact_folder_unreadable") == 1

    asyncio.run(check())


def test_a_product_that_cannot_be_read_is_served_on(stock: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    stock.write("screw/1")
    stock.write("bolt", product="bolt")
    real: Callable[[Path], dict[str, str]] = artifact_folder._versions

    def versions(product: Path) -> dict[str, str]:
        if product.name == "screw":
            raise OSError(116, "Stale file handle")
        return real(product)

    metrics, clock = Metrics(), Clock()

    async def check() -> None:
        async with stock.opened(metrics=metrics, clock=clock) as registry:
            monkeypatch.setattr(artifact_folder, "_versions", versions)
            for _ in range(3):
                clock.now += 100
                await registry.look()
            assert await stock.version_of(registry, "screw") == "1"
            assert metrics.value("mkd_artifact_folder_unreadable") == 1

    asyncio.run(check())


def test_a_product_whose_folder_was_deleted_goes_after_the_grace_with_an_event(
    stock: Stock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    stock.write("screw/1")
    stock.write("bolt", product="bolt")
    clock = Clock()

    async def check() -> None:
        async with stock.opened(clock=clock, grace_s=60) as registry:
            shutil.rmtree(stock.root / "screw")
            await registry.look()
            clock.now += 59
            await registry.look()
            assert await stock.version_of(registry, "screw") == "1"
            clock.now += 1
            await registry.look()
            with pytest.raises(NotReady, match="its folder was removed"):  # and not 404: it was there
                await stock.version_of(registry, "screw")
            with pytest.raises(ProductRequired):  # its parts must not be judged by the one that is left
                await stock.version_of(registry, None)
            assert (await registry.unload("screw")).state == "unloaded"
            with pytest.raises(ProductNotFound):
                await stock.version_of(registry, "screw")
            assert await stock.version_of(registry, None) == "1"

    asyncio.run(check())
    assert [record.getMessage() for record in caplog.records if "artifact" in record.getMessage()] == [
        "artifact missing",
        "artifact removed",
    ]


def test_a_removed_product_whose_folder_returns_is_served_again(stock: Stock) -> None:
    stock.write("screw/1")
    stock.write("bolt", product="bolt")

    async def check() -> None:
        async with stock.opened(grace_s=0) as registry:
            (stock.root / "screw").rename(stock.root / ".away")
            for _ in range(2):
                await registry.look()
            assert registry.status("screw").state == "refused"
            (stock.root / ".away").rename(stock.root / "screw")
            await registry.look()
            assert registry.status("screw").problems == {}
            assert await stock.version_of(registry, "screw") == "1"

    asyncio.run(check())


def test_a_folder_that_comes_back_within_the_grace_was_never_gone(stock: Stock) -> None:
    stock.write("screw/1")
    stock.write("bolt", product="bolt")
    metrics = Metrics()

    async def check() -> None:
        async with stock.opened(metrics=metrics, grace_s=0) as registry:
            (stock.root / "screw").rename(stock.root / ".away")
            await registry.look()
            (stock.root / ".away").rename(stock.root / "screw")
            await registry.look()
            await registry.look()
            assert await stock.version_of(registry, "screw") == "1"
            assert metrics.value("mkd_swaps_total", product="screw") == 1

    asyncio.run(check())


def test_a_pin_outlives_a_folder_that_is_away_for_a_moment(stock: Stock) -> None:
    for number in (1, 2):
        stock.write(f"art/screw/{number}", seed=number)

    async def check() -> None:
        async with stock.opened(within="art", state_file=stock.root / "art/.state.json") as registry:
            await registry.activate("screw", "1")
            (stock.root / "art").rename(stock.root / "unmounted")
            await registry.look()
            assert await stock.version_of(registry) == "1"
            (stock.root / "unmounted").rename(stock.root / "art")
            await registry.look()
            assert await stock.version_of(registry) == "1"

    asyncio.run(check())


def test_what_is_refused_while_the_folder_is_away_is_not_refused_for_ever(stock: Stock) -> None:
    for number in (1, 2):
        stock.write(f"art/screw/{number}", seed=number)

    async def check() -> None:
        async with stock.opened(within="art") as registry:
            (stock.root / "art").rename(stock.root / "unmounted")
            with pytest.raises(ArtifactRefused):
                await registry.activate("screw", "1")
            (stock.root / "unmounted").rename(stock.root / "art")
            shutil.rmtree(stock.root / "art/screw/2")
            assert (await registry.activate("screw", "1")).problems.get("1") is None

    asyncio.run(check())


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda root: None, "there is no such folder"),
        (lambda root: root.write_text("a file"), "is not a folder"),
        (lambda root: (root / "pictures").mkdir(parents=True), "holds no product; artifacts lie in NAME/"),
    ],
)
def test_a_folder_that_cannot_be_right_is_told_with_its_path(
    stock: Stock, prepare: Callable[[Path], object], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    root = stock.root / "art"
    prepare(root)

    async def check() -> None:
        async with stock.opened(within="art") as registry:
            ready, reason = registry.ready()
            assert not ready
            assert f"{root}: {words}" in reason
            for product in (None, "screw"):  # 503 and not 404: nobody can know what the folder should hold
                with pytest.raises(NotReady, match=words):
                    await stock.version_of(registry, product)

    asyncio.run(check())
    fields = [json.dumps(getattr(record, "mkd_fields", {})) for record in caplog.records]
    assert any(str(root) in text and words in text for text in fields)


def test_an_artifact_given_as_the_folder_is_told(stock: Stock) -> None:
    stock.write("screw")

    async def check() -> None:
        async with stock.opened(within="screw") as registry:
            assert "is an artifact itself" in registry.ready()[1]

    asyncio.run(check())


def test_a_folder_whose_products_were_all_refused_is_told_with_its_path_and_their_reasons(stock: Stock) -> None:
    stock.write("art/screw")
    stock.spoil("art/screw")

    async def check() -> None:
        async with stock.opened(within="art") as registry:
            ready, reason = registry.ready()
            assert not ready
            assert str(stock.root / "art") in reason
            assert "SHA-256" in reason

    asyncio.run(check())


def test_a_request_without_product_is_not_judged_by_the_one_product_that_was_not_refused(stock: Stock) -> None:
    stock.write("bolt", product="bolt")
    stock.write("screw", seed=1)
    stock.spoil("screw")

    async def check() -> None:
        async with stock.opened() as registry:
            with pytest.raises(ProductRequired, match="bolt, screw"):
                await stock.version_of(registry, None)
            assert await stock.version_of(registry, "bolt") == "1"

    asyncio.run(check())
