"""Ray's own ports with token authentication: who lacks the token gets nothing, who has it works as before."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

pytest.importorskip("ray", reason="needs Ray: pip install 'mkdserve[ray]'")

CONNECT = """
import logging, sys, ray
ray.init(address=sys.argv[1], logging_level=logging.ERROR, log_to_driver=False)
print("nodes", len(ray.nodes()))
"""
SECONDS = 100
OTHER_TOKEN = "0" * 64


def connect(address: str, **changed: str) -> subprocess.CompletedProcess[str]:
    """A driver of its own, in another process, as whoever reaches the port would start it."""
    environment = {**os.environ, **changed}
    command = [sys.executable, "-c", CONNECT, address]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)


@pytest.mark.long
def test_who_has_the_token_is_let_in(cluster: Any) -> None:
    found = connect(cluster.address)
    assert found.returncode == 0, found.stderr[-2000:]
    assert "nodes" in found.stdout


@pytest.mark.long
@pytest.mark.parametrize(
    "changed", [{"RAY_AUTH_TOKEN": OTHER_TOKEN}, {"RAY_AUTH_MODE": "disabled"}], ids=["another token", "no token"]
)
def test_who_has_not_is_refused(cluster: Any, changed: dict[str, str]) -> None:
    found = connect(cluster.address, **changed)
    assert found.returncode != 0
    assert "nodes" not in found.stdout
    assert "InvalidAuthToken" in found.stderr or "Unauthenticated" in found.stderr, found.stderr[-2000:]
