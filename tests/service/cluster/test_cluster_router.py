"""Which replicas a product is sent to: the same ones by every proxy, few moved when one goes, others when busy."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ray", reason="needs Ray: pip install 'mkdserve[ray]'")

from service.cluster.router import ProductRouter, in_order

PRODUCTS = [f"product-{number}" for number in range(300)]


def test_a_replica_that_goes_moves_its_own_products_only() -> None:
    replicas = ["r1", "r2", "r3", "r4"]
    before = {product: in_order(product, replicas)[0] for product in PRODUCTS}
    after = {product: in_order(product, ["r4", "r2", "r1"])[0] for product in PRODUCTS}
    assert all(after[product] == home for product, home in before.items() if home != "r3")
    counts = [list(before.values()).count(replica) for replica in replicas]
    assert min(counts) > len(PRODUCTS) / 4 / 2


def ranks(product: str, waiting: dict[str, int], **options: int) -> list[list[str]]:
    """What the router would try, for replicas with so many requests each."""
    router: Any = object.__new__(ProductRouter)
    router.initialize_state(**options)
    router._replica_queue_len_cache = SimpleNamespace(get=lambda replica: waiting[replica.unique_id])
    replicas: list[Any] = [SimpleNamespace(replica_id=SimpleNamespace(unique_id=name)) for name in waiting]
    request: Any = SimpleNamespace(
        metadata=SimpleNamespace(multiplexed_model_id=product),
        routing_context=SimpleNamespace(should_backoff=False),
    )
    chosen = asyncio.run(router.choose_replicas(replicas, request))
    return [[replica.replica_id.unique_id for replica in rank] for rank in chosen]


def test_homes_come_first_and_busy_ones_are_passed_over() -> None:
    names = ["r1", "r2", "r3"]
    first, second, _ = in_order("bolt", names)
    assert ranks("bolt", dict.fromkeys(names, 0), homes=2) == [[first, second], names]
    assert ranks("bolt", {**dict.fromkeys(names, 0), first: 32}, homes=2) == [[second], names]
    assert ranks("bolt", dict.fromkeys(names, 32), homes=2) == [names]
    assert ranks("bolt", dict.fromkeys(names, 3), homes=1, busy=3) == [names]


def test_a_request_without_a_product_goes_anywhere() -> None:
    assert ranks("", {"r1": 0, "r2": 9}) == [["r1", "r2"]]
