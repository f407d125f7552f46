"""Triggers through the real runner with faults at random: the benchmark's run, smaller."""

from __future__ import annotations

import asyncio

from benchmarks.gateway.faults import faults
from benchmarks.gateway.plan import FAULTS
from service.gateway.codes import Code
from service.gateway.events import Decision


def test_each_trigger_has_one_answer_and_no_ok_is_wrong() -> None:
    bench = asyncio.run(faults(2000, seed=7))
    assert len(bench.answers) == 2000
    assert all(len(answers) == 1 for answers in bench.answers.values())
    assert bench.wrong_oks() == 0
    assert bench.late() == 0
    assert set(bench.fault.values()) == {*FAULTS, "is the second trigger"}
    seen = {answer.decision for answers in bench.answers.values() for answer in answers}
    assert seen >= {Decision.OK, Decision.NG, Decision.REJECT}
    refused = [answers[0].code for number, answers in bench.answers.items() if bench.fault[number] == "503"]
    assert set(refused) <= {Code.SERVICE_NOT_READY, Code.PICTURE_LATE, Code.VERDICT_LATE}
    assert Code.SERVICE_NOT_READY in refused
