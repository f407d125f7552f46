"""A budget of memory for heads: who leaves, who comes back, and who waits for it."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import pytest

from models.artifact import Artifact
from service.errors import (
    DeadlineExceeded,
)
from service.metrics import Metrics

if TYPE_CHECKING:
    from tests.service.products.conftest import Stock


def test_the_memory_budget_unloads_the_least_recently_used_which_comes_back_on_demand(stock: Stock) -> None:
    size = stock.write("a", product="a", seed=1).head.size_bytes
    for seed, name in enumerate(("b", "c"), start=2):
        stock.write(name, product=name, seed=seed)
    metrics = Metrics()
    proofs: list[str] = []

    async def check() -> None:
        def validate(artifact: Artifact) -> None:
            proofs.append(artifact.manifest.product)

        async with stock.opened(validate, metrics=metrics, head_memory_bytes=2 * size) as registry:
            assert [status.state for status in registry.products()] == ["resting", "served", "served"]
            await stock.version_of(registry, "b")
            assert await stock.version_of(registry, "a") == "1"
            assert [status.state for status in registry.products()] == ["served", "served", "resting"]
            assert metrics.value("mkd_head_unloads_total", reason="budget") == 2
            assert metrics.value("mkd_head_bytes") == 2 * size
            assert registry.ready()[0]
            async with registry.lease("a"), registry.lease("b"), registry.lease("c"):
                assert metrics.value("mkd_heads_loaded") == 3  # what is in use stays
            assert metrics.value("mkd_heads_loaded") == 2

    asyncio.run(check())
    assert proofs == ["a", "b", "c"]


def test_many_requests_for_a_resting_product_load_it_once(stock: Stock) -> None:
    size = stock.write("a", product="a", seed=1).head.size_bytes
    stock.write("b", product="b", seed=2)
    metrics = Metrics()

    async def check() -> None:
        async with stock.opened(metrics=metrics, head_memory_bytes=size) as registry:
            await asyncio.gather(*(stock.version_of(registry, "a") for _ in range(20)))
            assert metrics.value("mkd_head_loads_total", outcome="ok") == 3

    asyncio.run(check())


def test_a_resting_product_whose_files_were_replaced_is_proven_anew(stock: Stock) -> None:
    size = stock.write("a", product="a", seed=1).head.size_bytes
    stock.write("b", product="b", seed=2)

    async def check() -> None:
        async with stock.opened(head_memory_bytes=size) as registry:
            stock.write("a", product="a", version="2", seed=3)
            assert await stock.version_of(registry, "a") == "2"

    asyncio.run(check())


def test_waiting_for_a_resting_product_ends_at_the_deadline(stock: Stock) -> None:
    size = stock.write("a", product="a", seed=1).head.size_bytes
    stock.write("b", product="b", seed=2)
    slow = threading.Event()

    async def check() -> None:
        async with stock.opened(head_memory_bytes=size) as registry:
            registry._restores.submit(slow.wait, 20)
            with pytest.raises(DeadlineExceeded):
                async with registry.lease("a", deadline=time.monotonic() + 0.02):
                    pass
            slow.set()
            assert await stock.version_of(registry, "a") == "1"

    asyncio.run(check())
