"""Counts say what is in the store: decisions over time, p-values, and what judgements say of the decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from service.feedback.reviews import judge
from service.feedback.rows import Label, Said, VerdictFilter
from service.feedback.statistics import statistics
from service.feedback.summary import summary

if TYPE_CHECKING:
    from tests.service.feedback.conftest import OpenStore

PNG = b"\x89PNG of a part"


def say(opened: OpenStore, verdict_id: int, label: Label, class_: str | None = None, by: str = "ada") -> None:
    with opened.database.writing() as connection:
        judge(connection, verdict_id, Said(label, class_), by, 1.0)


def test_decisions_are_counted_in_equal_parts_of_the_time(opened: OpenStore) -> None:
    for at, decision in ((99.9, "NG"), (100.0, "OK"), (104.9, "OK"), (105.0, "NG"), (119.9, "REVIEW"), (120.0, "NG")):
        opened.add(at=at, decision=decision)
    opened.add(at=110.0, decision="NG", station="left", picture=PNG)
    with opened.database.reading() as connection:
        found = statistics(connection, VerdictFilter(), since=100.0, until=120.0, buckets=4)
        left = statistics(connection, VerdictFilter(station="left"), since=100.0, until=120.0, buckets=1)
    assert [begin for begin, _ in found.buckets] == [100.0, 105.0, 110.0, 115.0]
    assert [tuple(counts.values()) for _, counts in found.buckets] == [(2, 0, 0), (0, 0, 1), (0, 0, 1), (0, 1, 0)]
    assert left.buckets == [(100.0, {"OK": 0, "REVIEW": 0, "NG": 1})]
    assert (found.waiting, left.waiting) == (1, 1)


def test_p_values_are_counted_in_twentieths(opened: OpenStore) -> None:
    for p_value in (0.005, 0.049, 0.051, 0.99, 1.0):
        opened.add(at=100.0, p_value=p_value)
    with opened.database.reading() as connection:
        found = statistics(connection, VerdictFilter(), since=0.0, until=200.0, buckets=1)
    assert found.p_values == [2, 1, *[0] * 16, 0, 2]


def test_the_summary_counts_false_rejects_misses_and_classes(opened: OpenStore) -> None:
    for decision in ("NG", "NG", "REVIEW"):
        say(opened, opened.add(decision=decision), "good")
    say(opened, opened.add(decision="OK", spot_check=True), "good")
    for _ in range(6):
        say(opened, opened.add(decision="NG"), "defect", "dent")
    say(opened, opened.add(decision="REVIEW"), "defect", "dent")
    say(opened, opened.add(decision="OK", spot_check=True, spot_check_share=0.5), "defect", "dent")
    say(opened, opened.add(decision="OK"), "defect", "scratch")
    say(opened, opened.add(decision="NG"), "unsure")
    disputed = opened.add(decision="NG")
    say(opened, disputed, "good")
    say(opened, disputed, "defect", by="bob")
    with opened.database.reading() as connection:
        found = summary(connection, VerdictFilter(product="screw"))
        nothing = summary(connection, VerdictFilter(product="nut"))
    assert found.good.decisions == {"OK": 1, "REVIEW": 1, "NG": 2}
    assert found.good.spot_checks == {"OK": 1, "REVIEW": 0, "NG": 0}
    dent, scratch = found.defects["dent"], found.defects["scratch"]
    assert (dent.parts, dent.decisions["OK"], dent.misses_estimated) == (8, 1, 2.0)
    assert dent.detection_rate == pytest.approx(7 / 9)
    assert (scratch.parts, scratch.misses_estimated, scratch.detection_rate) == (1, 0.0, None)
    assert (found.unsure, found.disagreed) == (1, 1)
    assert (nothing.good.parts, nothing.defects) == (0, {})
