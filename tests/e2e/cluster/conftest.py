"""A Ray cluster of several nodes in one machine, running this checkout; skips where Ray is not installed.

It asks for Ray's token, as docs/scaling.md wants: tests/conftest.py sets that before anything imports Ray.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.service_process import free_port

ROOT = Path(__file__).parents[3]
OBJECT_STORE = 100 << 20  # bytes of memory on each node
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of this folder."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.ray)


class LocalCluster:
    """Nodes of two cores each come and go; the first node has none, so that no work is on it."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self._idle: list[Any] = []

    @property
    def address(self) -> str:
        """What a driver connects to."""
        return str(self._cluster.address)

    @contextmanager
    def node(self) -> Iterator[Any]:
        """A node: one that an earlier test has left alive, or a new one, as a start takes seconds."""
        node = self._idle.pop() if self._idle else self._start()
        try:
            yield node
        finally:
            if node in self._cluster.worker_nodes:
                self._idle.append(node)

    def kill(self, node: Any) -> None:
        """All processes of the node end at once, as when its power fails."""
        self._cluster.remove_node(node, allow_graceful=False)

    def _start(self) -> Any:
        return self._cluster.add_node(num_cpus=2, object_store_memory=OBJECT_STORE, **agent_ports())


def agent_ports() -> dict[str, int]:
    """Ports for the node's agents. Where they choose their own, Ray waits until they have, which takes seconds."""
    names = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
    return {name: free_port() for name in names}


@pytest.fixture(scope="session")
def cluster(artifacts_folder: Path) -> Iterator[LocalCluster]:
    """A head without cores. Workers inherit this environment, so they run this checkout."""
    pytest.importorskip("ray", reason="needs Ray: pip install 'mkdserve[ray]'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("MKD_NO_DOWNLOAD", "1")
        patch.setenv("RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH", "service.cluster.edge:middlewares")
        for which in ("REPLICA", "HANDLE"):  # so that replicas come and go within seconds
            patch.setenv(f"RAY_SERVE_{which}_AUTOSCALING_METRIC_PUSH_INTERVAL_S", "0.5")
        patch.setenv("OMP_WAIT_POLICY", "PASSIVE")
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "object_store_memory": OBJECT_STORE, "include_dashboard": False, **agent_ports()}
        made = Cluster(initialize_head=True, head_node_args=head)
        try:
            yield LocalCluster(made)
        finally:
            made.shutdown()  # type: ignore[no-untyped-call]
