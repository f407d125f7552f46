"""Windows and recalibrations in SQLite and PostgreSQL: what is read, and one at a time in all processes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from service.errors import RecalibrationNotFound, RecalibrationNotReady, RecalibrationRunning
from service.feedback.recalibration import records
from service.feedback.recalibration.record import Recalibration
from service.feedback.recalibration.window import first_whole, kept_pictures, not_good_any_more, read_window
from service.feedback.reviews import judge
from service.feedback.rows import Said

if TYPE_CHECKING:
    from tests.service.feedback.conftest import OpenStore

HASH = "ab" * 32
NOW = 1_780_000_000.0


def say(opened: OpenStore, verdict: int, label: Any, by: str = "ann", defect_class: str | None = None) -> None:
    with opened.database.writing() as connection:
        judge(connection, verdict, Said(label, defect_class), by, NOW)


def begun(opened: OpenStore, product: str = "screw", at: float = NOW) -> Recalibration:
    values = {"product": product, "at": at, "by": "ann", "from_version": "1", "from_hash": HASH}
    with opened.database.writing() as connection:
        return records.begin(connection, values)


def ready(opened: OpenStore, product: str = "screw") -> Recalibration:
    number = begun(opened, product).id
    with opened.database.writing() as connection:
        ended = records.finish(connection, product, number, "ready", {"result": {"a": 1}, "content": {"b": [2]}})
    assert ended is not None
    return ended


def test_a_window_has_what_one_artifact_judged_and_what_people_said(opened: OpenStore) -> None:
    good = opened.add(at=NOW, spot_check=True, picture=b"\x89PNG")
    defect = opened.add(at=NOW + 1, decision="NG", score=0.9, part_id="A7")
    both = opened.add(at=NOW + 2, decision="REVIEW", score=0.78)
    plain = opened.add(at=NOW + 3, review_threshold=None)
    opened.add(at=NOW + 4, hash="cd" * 32)
    opened.add(at=NOW + 5, product="nut")
    say(opened, good, "good")
    say(opened, defect, "defect", defect_class="scratch")
    say(opened, both, "good")
    say(opened, both, "defect", by="bob")
    with opened.database.reading() as connection:
        window = read_window(connection, "screw", HASH, None, None)
        later = read_window(connection, "screw", HASH, NOW + 1, NOW + 3)
        other = read_window(connection, "screw", "ef" * 32, None, None)
        pictures = kept_pictures(connection, [good, defect])
    found = {part.verdict_id: part for part in window.parts}
    assert list(found) == [good, defect, both, plain]
    assert [part.label for part in window.parts] == ["good", "defect", None, None]
    assert (found[defect].defect_class, found[defect].part_id) == ("scratch", "A7")
    assert (found[good].picture, found[defect].picture) == (True, False)
    assert [part.selected for part in window.parts] == [True, True, True, False]
    assert [part.waits for part in window.parts] == [False, False, True, False]
    assert found[good].drawing == (0.02, 0.76)
    assert found[plain].drawing == (0.02, 0.8)
    assert [part.verdict_id for part in later.parts] == [defect, both]
    assert (list(other.parts), other.others) == ([], 5)
    assert [picture.size for picture in pictures] == [4]


def test_parts_that_are_not_called_good_any_more_are_counted(opened: OpenStore) -> None:
    first, second = opened.add(spot_check=True), opened.add(spot_check=True)
    say(opened, first, "good")
    say(opened, second, "good")
    with opened.database.reading() as connection:
        assert not_good_any_more(connection, [first, second]) == 0
    say(opened, second, "defect", by="bob")
    with opened.database.reading() as connection:
        assert not_good_any_more(connection, [first, second]) == 1


def test_verdicts_that_have_left_the_store_are_noticed_by_their_ids(opened: OpenStore) -> None:
    kept = [opened.add(spot_check=True) for _ in range(2)]
    for _ in range(3):
        opened.add()
    for verdict in kept:
        say(opened, verdict, "good")
    with opened.database.writing() as connection:
        assert first_whole(connection) == 1
        connection.exec_driver_sql(f"DELETE FROM verdicts WHERE id = {kept[-1] + 1}")
        assert first_whole(connection) == kept[-1] + 2
        connection.exec_driver_sql(f"DELETE FROM verdicts WHERE id > {kept[-1]}")
        connection.exec_driver_sql(f"DELETE FROM reviews WHERE verdict_id = {kept[0]}")
        connection.exec_driver_sql(f"DELETE FROM verdicts WHERE id = {kept[0]}")
        assert first_whole(connection) == kept[-1] + 1


def test_one_of_a_product_runs_at_a_time(opened: OpenStore) -> None:
    one = begun(opened)
    with pytest.raises(RecalibrationRunning, match=f"recalibration {one.id} of screw"):
        begun(opened, at=NOW + records.GONE_S)
    assert begun(opened, "nut").state == "running"
    again = begun(opened, at=NOW + records.GONE_S + 1)
    with opened.database.writing() as connection:
        assert records.one(connection, "screw", one.id).state == "failed"
        assert records.finish(connection, "screw", one.id, "ready", {}) is None
        assert [each.id for each in records.newest(connection, "screw", 10)] == [again.id, one.id]
        with pytest.raises(RecalibrationNotFound):
            records.one(connection, "nut", one.id)


def test_of_many_that_begin_at_once_one_runs(opened: OpenStore) -> None:
    outcomes: list[object] = []

    def attempt() -> None:
        try:
            outcomes.append(begun(opened).id)
        except RecalibrationRunning:
            outcomes.append(None)

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(one is not None for one in outcomes) == 1


def test_a_claim_names_a_version_that_nobody_else_gets(opened: OpenStore) -> None:
    first = ready(opened)
    assert (first.result, first.content) == ({"a": 1}, {"b": [2]})
    with opened.database.writing() as connection:
        claimed = records.claim(connection, "screw", first.id, ["1", "2"], "bob", NOW)
        assert (claimed.to_version, claimed.applied_by) == ("3", "bob")
        with pytest.raises(RecalibrationNotReady, match="is being applied"):
            records.claim(connection, "screw", first.id, ["1", "2"], "cleo", NOW + 1)
    second = ready(opened)
    with opened.database.writing() as connection:
        assert records.claim(connection, "screw", second.id, ["1", "2"], "bob", NOW).to_version == "4"
        after = records.give_back(connection, "screw", second.id, "the disk is full")
        assert (after.state, after.to_version, after.reason) == ("ready", None, "the disk is full")
        assert records.claim(connection, "screw", second.id, ["1", "2"], "bob", NOW + 1).to_version == "4"
        done = records.applied(connection, "screw", second.id, NOW + 2)
        assert (done.state, done.applied_at, done.reason) == ("applied", NOW + 2, None)
        with pytest.raises(RecalibrationNotReady, match="is applied"):
            records.claim(connection, "screw", second.id, ["1"], "bob", NOW + 999)
