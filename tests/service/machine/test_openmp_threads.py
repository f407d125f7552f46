"""How OpenMP's threads wait in a service: asleep, unless the operator says otherwise."""

from __future__ import annotations

import os

import pytest

from service.machine.openmp import WAIT_POLICY, let_waiting_threads_sleep


def test_threads_that_wait_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WAIT_POLICY, "")
    monkeypatch.delenv(WAIT_POLICY)
    let_waiting_threads_sleep()
    assert os.environ[WAIT_POLICY] == "PASSIVE"


def test_what_the_operator_sets_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WAIT_POLICY, "ACTIVE")
    let_waiting_threads_sleep()
    assert os.environ[WAIT_POLICY] == "ACTIVE"
