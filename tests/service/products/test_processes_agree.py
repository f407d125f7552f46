"""Several processes over one folder: one version of each product at a time, whoever is asked."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from models.artifact import Artifact
from service.errors import ArtifactRefused, NotReady, VersionNotFound
from service.metrics import Metrics
from service.products import preparation as preparation_module
from service.products import registry as registry_module
from service.products.agreement import Agreement
from service.products.preparation import Preparation
from service.products.product import VersionKey
from service.products.registry import Registry

if TYPE_CHECKING:
    from tests.service.products.conftest import Stock


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """The folder that a parent makes for its processes."""
    folder = tmp_path / ".shared"
    folder.mkdir()
    Agreement.begin(folder)
    return folder


Open = Callable[[], Registry]


@pytest.fixture
def process(stock: Stock, shared: Path) -> Open:
    """The registry of one process more; not started."""
    (stock.root / "art").mkdir()

    def make(validate: Callable[[Artifact], None] = lambda _: None) -> Registry:
        return Registry(
            stock.root / "art",
            validate=validate,
            metrics=Metrics(),
            watch_s=0,
            state_file=stock.root / "art/.state.json",
            shared=shared,
        )

    return make


def test_a_rollback_to_a_version_whose_folder_is_gone_is_refused_by_every_process(stock: Stock, process: Open) -> None:
    for number in (1, 2):
        stock.write(f"art/screw/{number}", seed=number)

    async def check() -> None:
        one, two = process(), process()
        await one.start()
        await two.start()
        for version in ("1", "2"):  # so that both have 1 as the version before, and in memory
            await one.activate("screw", version)
            await two.look()
        shutil.rmtree(stock.root / "art/screw/1")
        for registry in (one, two, one):
            with pytest.raises(ArtifactRefused):
                await registry.rollback("screw")
            with pytest.raises(ArtifactRefused):
                await registry.activate("screw", "1")
        assert {await stock.version_of(registry) for registry in (one, two)} == {"2"}
        assert one.status("screw").pinned == "2"
        later = process()  # a restart serves it still
        await later.start()
        assert await stock.version_of(later) == "2"
        with pytest.raises((ArtifactRefused, VersionNotFound)):
            await later.rollback("screw")
        for registry in (one, two, later):
            await registry.stop()

    asyncio.run(check())


def test_a_process_that_is_behind_catches_up_before_it_answers(stock: Stock, process: Open) -> None:
    for number in (1, 2):
        stock.write(f"art/screw/{number}", seed=number)

    async def check() -> None:
        one, two = process(), process()
        await one.start()
        await two.start()
        for version in ("1", "2", "1"):
            await one.activate("screw", version)
            assert await stock.version_of(two) == version  # without a look of its own in between
        stock.write("art/screw/3", seed=3)
        await one.unpin("screw")
        assert [await stock.version_of(registry) for registry in (one, two)] == ["3", "3"]
        await two.unload("screw")
        with pytest.raises(NotReady):
            await stock.version_of(one)
        for registry in (one, two):
            await registry.stop()

    asyncio.run(check())


def test_a_process_that_cannot_follow_is_not_ready_for_that_product_alone(
    stock: Stock, process: Callable[..., Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_module, "CATCH_UP_S", 0.2)
    stock.write("art/screw/1", seed=1)
    stock.write("art/bolt", product="bolt", seed=3)

    def cannot(artifact: Artifact) -> None:
        if artifact.path.name == "2":
            raise NotReady("no device takes it")

    async def check() -> None:
        one, two = process(), process(cannot)
        await one.start()
        await two.start()
        stock.write("art/screw/2", seed=2)
        await one.look()
        assert await stock.version_of(one) == "2"
        with pytest.raises(NotReady, match="at version 2"):
            await stock.version_of(two)
        assert await stock.version_of(two, "bolt") == "1"
        assert two.ready()[0]
        for registry in (one, two):
            await registry.stop()

    asyncio.run(check())


def test_a_version_is_proven_in_every_process_before_any_answers_by_it(
    stock: Stock, process: Callable[..., Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation_module, "PATIENCE_S", 120.0)
    stock.write("art/screw/1", seed=1)
    proven: list[str] = []

    async def check() -> None:
        def slowly(artifact: Artifact) -> None:
            time.sleep(0.2)
            proven.append(f"two {artifact.path.name}")

        one, two = process(lambda artifact: proven.append(f"one {artifact.path.name}")), process(slowly)
        await one.start()
        await two.start()
        stock.write("art/screw/2", seed=2)
        swap = asyncio.ensure_future(one.activate("screw", "2"))
        while not swap.done():
            assert await stock.version_of(two) == "1" or "two 2" in proven
            await asyncio.sleep(0.01)
        assert proven == ["one 1", "two 1", "one 2", "two 2"]
        assert await stock.version_of(two) == "2"
        assert proven[-1] == "two 2"  # and not a second time
        for registry in (one, two):
            await registry.stop()

    asyncio.run(check())


def test_processes_that_switch_at_the_same_time_do_not_wait_for_each_other(
    stock: Stock, process: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(preparation_module, "PATIENCE_S", 60.0)  # which they would be over, and say so
    for product in ("screw", "bolt"):
        for number in (1, 2):
            stock.write(f"art/{product}/{number}", product=product, seed=number)

    async def check() -> None:
        one, two = process(), process()
        await one.start()
        await two.start()
        for number in ("1", "2", "1"):
            await asyncio.gather(one.activate("screw", number), two.activate("bolt", number))
            assert {await stock.version_of(each, name) for each in (one, two) for name in ("screw", "bolt")} == {number}
        for registry in (one, two):
            await registry.stop()

    asyncio.run(check())
    assert "version not prepared" not in caplog.text


def test_a_process_that_has_ended_or_does_not_answer_is_not_waited_for_long(
    stock: Stock, process: Open, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation_module, "PATIENCE_S", 0.2)
    for number in (1, 2):
        stock.write(f"art/screw/{number}", seed=number)
    gone = shared / preparation_module.FOLDER / "peer-gone"  # its lock went with its process
    gone.parent.mkdir()
    gone.touch()
    silent = Preparation(shared)
    silent.join()

    async def check() -> None:
        one = process()
        await one.start()
        await one.activate("screw", "1")
        assert await stock.version_of(one) == "1"
        await one.stop()

    asyncio.run(check())
    assert not gone.exists()
    silent.leave()
    assert list(gone.parent.iterdir()) == []


def test_a_process_that_started_while_a_folder_is_away_does_not_answer_by_a_lower_version(
    stock: Stock, process: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_module, "CATCH_UP_S", 0.2)
    for number in (1, 2):
        stock.write(f"art/screw/{number}", seed=number)

    async def check() -> None:
        one, late = process(), process()
        await one.start()
        (stock.root / "art/screw/2").rename(stock.root / "art/screw/.away")
        await late.start()
        with pytest.raises(NotReady):
            await stock.version_of(late)
        assert await stock.version_of(one) == "2"
        (stock.root / "art/screw/.away").rename(stock.root / "art/screw/2")
        assert await stock.version_of(late) == "2"
        for registry in (one, late):
            await registry.stop()

    asyncio.run(check())


def test_each_change_has_a_generation_of_its_own(shared: Path) -> None:
    one, two = Agreement(shared), Agreement(shared)
    first, second = (VersionKey("screw", name, name * 64, name, "mkd") for name in "ab")
    one.publish("screw", first)
    agreed = two.of("screw")
    assert agreed is not None
    assert agreed.is_for(first)
    two.publish("screw", second)
    two.publish("screw", second)  # nothing new
    one.publish("bolt", None)
    last = one.of("screw")
    assert last is not None
    assert (last.generation, last.is_for(second), two.served()) == (agreed.generation + 1, True, ["screw"])


def test_alone_there_is_nothing_to_agree_on() -> None:
    alone = Agreement(None)
    alone.publish("screw", VersionKey("screw", "1", "a" * 64, "1", "mkd"))
    assert alone.of("screw") is None
    assert not alone.with_others


def test_a_pinned_version_that_was_away_and_is_back_unchanged_can_be_loaded(stock: Stock) -> None:
    for number in (1, 2):
        stock.write(f"art/screw/{number}", seed=number)

    async def check() -> None:
        async with stock.opened(within="art", grace_s=0.0) as registry:
            await registry.activate("screw", "1")
            (stock.root / "art/screw/1").rename(stock.root / "away")
            for _ in range(2):
                await registry.look()
            assert "not in the folder" in registry.status("screw").problems["1"]
            (stock.root / "away").rename(stock.root / "art/screw/1")
            assert (await registry.load("screw")).version == "1"
            assert registry.status("screw").problems == {}

    asyncio.run(check())
