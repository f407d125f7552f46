"""Peers for the gateway's tests: a fake judge and pictures that it takes for good or bad."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.gateway.processes import FakeJudge


@pytest.fixture(scope="session")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeJudge]:
    """One judge for all tests that leave it as it is."""
    with FakeJudge(tmp_path_factory.mktemp("judge")) as running:
        yield running


@pytest.fixture
def own_judge(tmp_path: Path) -> Iterator[FakeJudge]:
    """A judge that the test may kill."""
    with FakeJudge(tmp_path) as running:
        yield running


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of two pictures: the first is taken for good, the second for bad."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "1.png").write_bytes(b"GOOD")
    (folder / "2.png").write_bytes(b"NG")
    return folder
