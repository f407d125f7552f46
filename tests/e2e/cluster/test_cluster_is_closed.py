"""The cluster of these tests is closed as docs/scaling.md says: on the loopback, and to whoever has no token."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from tests.e2e.cluster.conftest import LocalCluster

PROGRAM = """
import sys, ray
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
print("nodes", len(ray.nodes()))
"""


def driver(cluster: LocalCluster, **changes: str) -> subprocess.CompletedProcess[str]:
    """A program that connects and asks for the nodes."""
    environment = {**os.environ, **changes}
    command = [sys.executable, "-c", PROGRAM, cluster.address]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)


def test_a_driver_without_the_token_is_refused(cluster: LocalCluster) -> None:
    known = driver(cluster)
    assert known.returncode == 0, known.stderr
    assert "nodes" in known.stdout
    for changes in ({"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_TOKEN": "0" * 64}):
        stranger = driver(cluster, **changes)
        assert stranger.returncode != 0
        assert "nodes" not in stranger.stdout


def test_the_cluster_listens_on_the_loopback_alone(cluster: LocalCluster) -> None:
    port = int(cluster.address.rpartition(":")[2])
    heads = [
        one for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN and one.laddr.port == port
    ]
    assert {one.laddr.ip for one in heads} <= {"127.0.0.1", "::ffff:127.0.0.1"}, heads
    assert heads
