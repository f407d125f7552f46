"""A bad artifact changes nothing for the others and says why."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from models.artifact import Artifact, ArtifactError
from service.errors import (
    ArtifactRefused,
    NotReady,
)
from service.metrics import Metrics

if TYPE_CHECKING:
    from tests.service.products.conftest import Stock


def test_a_bad_artifact_changes_nothing_and_says_why(stock: Stock) -> None:
    stock.write("screw/1")

    async def check() -> None:
        async with stock.opened() as registry:
            stock.write("screw/2", seed=2)
            stock.spoil("screw/2")
            await registry.look()
            assert await stock.version_of(registry) == "1"
            assert "head.safetensors" in registry.status("screw").problems["2"]
            assert str(stock.root) not in registry.status("screw").problems["2"]
            for attempt in (registry.load("screw"), registry.load("screw", "2"), registry.activate("screw", "2")):
                with pytest.raises(ArtifactRefused, match="SHA-256"):
                    await attempt
            assert registry.status("screw").pinned is None
            assert await stock.version_of(registry) == "1"

    asyncio.run(check())


def test_a_bad_artifact_is_not_tried_again_until_its_files_change(stock: Stock) -> None:
    stock.write("screw/1")
    stock.write("screw/2", seed=2)
    stock.spoil("screw/2")
    metrics = Metrics()

    async def check() -> None:
        async with stock.opened(metrics=metrics) as registry:
            await registry.look()
            await registry.look()
            assert metrics.value("mkd_head_loads_total", outcome="refused") == 1
            stock.write("screw/2", seed=2)
            await registry.look()
            assert await stock.version_of(registry) == "2"
            assert registry.status("screw").problems == {}

    asyncio.run(check())


def test_a_start_with_a_bad_highest_version_serves_the_next_one(stock: Stock) -> None:
    stock.write("screw/1")
    stock.write("screw/2", seed=2)
    stock.spoil("screw/2")

    async def check() -> None:
        async with stock.opened() as registry:
            assert await stock.version_of(registry) == "1"

    asyncio.run(check())


def test_an_active_artifact_whose_files_go_bad_is_served_from_memory(stock: Stock) -> None:
    stock.write("screw/1")
    stock.write("screw/2", seed=2)

    async def check() -> None:
        async with stock.opened() as registry:
            stock.spoil("screw/2")
            await registry.look()
            await registry.look()
            assert await stock.version_of(registry) == "2"
            assert "2" in registry.status("screw").problems

    asyncio.run(check())


def test_wrong_golden_scores_refuse_an_artifact(stock: Stock) -> None:
    stock.write("screw")

    def validate(artifact: Artifact) -> None:
        raise ArtifactError(artifact.path / "golden/0.png", "scores 2 here and 1 when it was made")

    async def check() -> None:
        async with stock.opened(validate) as registry:
            assert registry.status("screw").state == "refused"
            assert "scores 2 here" in registry.ready()[1]
            with pytest.raises(NotReady, match="scores 2 here"):
                await stock.version_of(registry)

    asyncio.run(check())


@pytest.mark.parametrize("error", [NotReady("no device"), RuntimeError("batch of 32 does not fit"), RecursionError()])
def test_an_artifact_that_fails_in_whatever_way_leaves_the_others_alone(stock: Stock, error: Exception) -> None:
    stock.write("bolt", product="bolt")
    stock.write("screw", seed=1)

    def validate(artifact: Artifact) -> None:
        if artifact.manifest.product == "bolt":
            raise error

    async def check() -> None:
        async with stock.opened(validate) as registry:
            assert await stock.version_of(registry, "screw") == "1"
            bolt = registry.status("bolt")
            assert (bolt.state, str(error) in bolt.problems[""]) == ("refused", True)
            with pytest.raises(NotReady):
                await stock.version_of(registry, "bolt")

    asyncio.run(check())
