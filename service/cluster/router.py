"""Chooses the replicas to try for a request: each product has homes, so that a replica keeps few heads warm.

The homes of a product are the first replicas in the order of a hash over both (rendezvous hashing, Thaler and
Ravishankar 1998): every proxy finds the same ones without being told, and a replica that goes or comes moves only its
own share of the products. Homes that are busy are passed over: a warm head is worth less than a free replica.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from ray.serve.request_router import FIFOMixin, MultiplexMixin, PendingRequest, RequestRouter, RunningReplica

HOMES = 2  # so that a product still has a warm one when a replica dies
BUSY = 32  # requests in a replica: a batch in the device and one that waits


class ProductRouter(FIFOMixin, MultiplexMixin, RequestRouter):
    """Ray's router with another order of replicas. The product comes as the multiplexed model id (`edge`)."""

    def initialize_state(self, **kwargs: Any) -> None:
        """Called once by Ray with `request_router_kwargs`: homes, busy."""
        self._homes, self._busy = int(kwargs.get("homes", HOMES)), int(kwargs.get("busy", BUSY))

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Ranks of replicas; within a rank Ray takes the one with the fewest requests, and the next if all are full."""
        product = pending_request.metadata.multiplexed_model_id if pending_request is not None else ""
        if pending_request is not None:
            pending_request.routing_context.should_backoff = True
        if not product:
            return [candidate_replicas]
        ids = {replica.replica_id.unique_id: replica for replica in candidate_replicas}
        homes = [ids[name] for name in in_order(product, list(ids))[: self._homes]]
        free = [replica for replica in homes if self._requests_in(replica) < self._busy]
        return [free, candidate_replicas] if free else [candidate_replicas]

    def _requests_in(self, replica: RunningReplica) -> int:
        return self.replica_queue_len_cache.get(replica.replica_id) or 0


def in_order(product: str, replicas: Sequence[str]) -> list[str]:
    """The replicas by their weight for this product, heaviest first."""
    return sorted(replicas, key=lambda replica: hashlib.blake2b(f"{product} {replica}".encode()).digest(), reverse=True)
