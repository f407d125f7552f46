"""Each invariant notices what it is there for, on made-up records."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from service.audit.chain import Chain, ChainLimits
from tests.chaos import invariants
from tests.chaos.disturbances import Orders
from tests.chaos.load import Record, Reply
from tests.chaos.schedule import Event, Schedule
from tests.chaos.site import Known, Site
from tests.chaos.world import World

KNOWN = {"1": Known("a" * 64, 2.0, (1.0, 3.0)), "2": Known("b" * 64, 4.0, (1.5, 3.5))}
QUIET = Schedule(0, (Event(0.0, "clock", 0, 1.0),))
KILLED = Schedule(0, (Event(0.0, "kill one", 0, 1.0),))


@pytest.fixture
def world(tmp_path: Path) -> World:
    site = Site(tmp_path, (b"", b""), {"bolt": KNOWN})
    return cast(World, SimpleNamespace(site=site, audit=tmp_path / "audit"))


def reply(version: str = "1", picture: int = 0, sent: float = 1.0, **changes: Any) -> Reply:
    known = KNOWN[version]
    score = known.scores[picture]
    entry = {
        "artifact": {"version": version, "hash": known.hash},
        "threshold": known.threshold,
        "score": score,
        "decision": "NG" if score > known.threshold else "OK",
    }
    return Reply("bolt", picture, sent, sent + 0.1, {**entry, **changes})


def faults_of(world: World, *replies: Reply, orders: Orders | None = None) -> list[str]:
    return list(invariants.verdicts_fit(world, Record(replies=list(replies)), orders or Orders()))


def test_true_verdicts_are_no_fault(world: World) -> None:
    assert faults_of(world, reply(), reply("1", 1), reply("2", 1), reply(decision="REVIEW")) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": 4.0},
        {"score": 1.5},
        {"decision": "NG"},
        {"artifact": {"version": "1", "hash": "b" * 64}},
        {"artifact": {"version": "8", "hash": "a" * 64}},
        {"error": {"code": "inference_failed"}},
    ],
)
def test_a_verdict_that_mixes_versions_is_a_fault(world: World, wrong: dict[str, Any]) -> None:
    assert len(faults_of(world, reply(**wrong))) == 1


def test_a_version_other_than_the_ordered_one_is_a_fault(world: World) -> None:
    orders = Orders(spans={"bolt": [(0.5, 2.0, "2")]})
    assert faults_of(world, reply("2"), reply("1", sent=0.4), reply("1", sent=1.95), orders=orders) == []
    assert "after 2 had been activated" in faults_of(world, reply("1"), orders=orders)[0]


def test_a_lost_request_is_a_fault_where_nothing_was_killed() -> None:
    lost = Record(lost=[False])
    assert list(invariants.answered_once(QUIET, lost)) == ["1 requests were not answered"]
    assert list(invariants.answered_once(KILLED, lost)) == []
    stopped = Schedule(0, (Event(0.0, "stop", 0, 1.0),))
    assert list(invariants.answered_once(stopped, Record(lost=[True]))) == []
    assert list(invariants.answered_once(stopped, lost)) != []


def test_the_audit_trail_must_be_whole_with_one_record_for_each_verdict(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invariants, "SETTLE_S", 0.0)
    chain = Chain(world.audit, ChainLimits())
    for request_id in ("a", "b", "b"):
        chain.append("verdict", 0.0, {"request_id": request_id})
    chain.append("stop", 0.0, {})
    chain.close()
    record = Record(verdict_ids=["a"])
    assert list(invariants.audit_is_whole(world, QUIET, record)) == []
    record.verdict_ids += ["b", "c"]
    twice, missing = invariants.audit_is_whole(world, QUIET, record)
    assert "two records" in twice
    assert "1 verdicts have no record" in missing
    assert len(list(invariants.audit_is_whole(world, QUIET, record, given_up=1))) == 1
    (file,) = world.audit.glob("chain-*/*.jsonl")
    first, *rest = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(first.replace(b'"a"', b'"x"') + b"".join(rest))
    assert json.loads(first)["request_id"] == "a"
    assert any("chain-00" in fault for fault in invariants.audit_is_whole(world, QUIET, Record()))


def test_memory_that_stays_is_a_fault(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invariants, "SETTLE_S", 0.0)
    monkeypatch.setattr(invariants, "memory_of", lambda _: {1: 104, 2: 106, 3: 106})
    over = list(invariants.memory_is_back(world, {1: 100, 2: 100}, calmed={1: 90, 2: 102}))
    assert len(over) == 1
    assert over[0].startswith("process 2")


def test_a_process_that_has_judged_little_may_come_to_what_the_others_had(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invariants, "SETTLE_S", 0.0)
    monkeypatch.setattr(invariants, "memory_of", lambda _: {3: 106, 4: 112})
    over = list(invariants.memory_is_back(world, {3: 90, 4: 100}, calmed={1: 100, 2: 104}))
    assert len(over) == 1
    assert over[0].startswith("process 4")


def test_an_order_that_was_alone_tells_the_version_and_overlapping_ones_do_not() -> None:
    orders = Orders()
    alone = orders.sent("bolt")
    orders.ended("bolt", alone, "1")
    assert [version for _, _, version in orders.spans["bolt"]] == ["1"]
    first, second = orders.sent("bolt"), orders.sent("bolt")
    assert orders.spans["bolt"][0][1] < float("inf")
    orders.ended("bolt", second, "2")
    orders.ended("bolt", first, "1")
    assert len(orders.spans["bolt"]) == 1
    after = orders.sent("bolt")
    orders.ended("bolt", after, "2")
    assert [version for _, _, version in orders.spans["bolt"]] == ["1", "2"]
