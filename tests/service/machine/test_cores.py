"""A container's limit on processor time, in both forms that the kernel has for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from service.machine.cores import usable_cores

HOST = 64


@pytest.fixture(autouse=True)
def large_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host of 64 cores, all of them allowed."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(HOST)))


@pytest.mark.parametrize(
    ("line", "cores"),
    [("200000 100000", 2), ("150000 100000", 2), ("5000 100000", 1), ("max 100000", HOST), ("9000000 100000", HOST)],
)
def test_a_quota_counts_and_part_of_a_core_is_a_whole_one(tmp_path: Path, line: str, cores: int) -> None:
    (tmp_path / "cpu.max").write_text(line + "\n", encoding="ascii")
    assert usable_cores(tmp_path) == cores


@pytest.mark.parametrize(("quota", "cores"), [("300000", 3), ("-1", HOST)])
def test_the_older_form_of_the_quota_counts_as_well(tmp_path: Path, quota: str, cores: int) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota + "\n", encoding="ascii")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n", encoding="ascii")
    assert usable_cores(tmp_path) == cores


@pytest.mark.parametrize("line", ["", "nonsense", "1 0"])
def test_without_a_limit_that_can_be_read_the_affinity_counts(tmp_path: Path, line: str) -> None:
    if line:
        (tmp_path / "cpu.max").write_text(line, encoding="ascii")
    assert usable_cores(tmp_path) == HOST
