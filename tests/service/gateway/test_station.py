"""What a station answers, event by event, with a clock turned by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from service.gateway.codes import MEANINGS, Code
from service.gateway.events import Acquire, Answer, Answered, Decision, Effect, Noted, Phase, TriggerRequest, Withdrawn
from service.gateway.judge import GatewayVerdict
from service.gateway.station import Station

GOOD = GatewayVerdict("bolt", "OK", 1.0, 2.0)
BAD = GatewayVerdict("bolt", "NG", 3.0, 2.0)


@pytest.fixture
def station() -> Station:
    made = Station({"1": "bolt", "2": "tile"}, window_s=1.0)
    made.start(0.0)
    return made


def trigger(station: Station, at: float, number: int, recipe: str = "1") -> list[Effect]:
    return station.trigger(at, TriggerRequest(number, recipe))


def answers(effects: list[Effect]) -> list[Answer]:
    return [effect.answer for effect in effects if isinstance(effect, Answered)]


def run(station: Station, at: float, number: int, verdict: GatewayVerdict = GOOD) -> Answer:
    acquire = trigger(station, at, number)[-1]
    assert isinstance(acquire, Acquire)
    station.picture(at + 0.1, acquire.cycle)
    (answer,) = answers(station.verdict(at + 0.2, acquire.cycle, verdict))
    return answer


def test_a_good_part_is_ok_and_carries_its_trigger(station: Station) -> None:
    answer = run(station, 1.0, 77)
    assert (answer.decision, answer.code, answer.trigger_id, answer.score) == (Decision.OK, Code.JUDGED, 77, 1.0)
    shown = station.outputs()
    assert (shown.ok, shown.ng, shown.result_valid, shown.trigger_id, shown.fault) == (True, False, True, 77, False)


def test_a_bad_part_is_ng_with_code_0(station: Station) -> None:
    answer = run(station, 1.0, 5, BAD)
    assert (answer.decision, answer.code) == (Decision.NG, Code.JUDGED)
    assert station.outputs().ng


def test_at_the_start_nothing_is_ok_and_the_code_says_so() -> None:
    shown = Station({"1": "bolt"}, 1.0).outputs()
    assert (shown.ok, shown.ng, shown.ready, shown.result_valid, shown.code) == (
        False,
        True,
        False,
        False,
        Code.STARTED,
    )


def test_an_unknown_recipe_is_rejected_before_a_picture_is_taken(station: Station) -> None:
    effects = trigger(station, 1.0, 5, recipe="9")
    assert [answer.code for answer in answers(effects)] == [Code.RECIPE_UNKNOWN]
    assert not any(isinstance(effect, Acquire) for effect in effects)


@pytest.mark.parametrize("pictured", [False, True])
def test_silence_becomes_reject_at_the_end_of_the_window(station: Station, pictured: bool) -> None:
    trigger(station, 1.0, 5)
    if pictured:
        station.picture(1.5, 1)
    assert answers(station.tick(1.999)) == []
    (answer,) = answers(station.tick(2.0))
    assert (answer.decision, answer.code) == (
        Decision.REJECT,
        Code.VERDICT_LATE if pictured else Code.PICTURE_LATE,
    )


def test_a_verdict_at_the_end_of_the_window_is_too_late_though_no_tick_came(station: Station) -> None:
    trigger(station, 1.0, 5)
    station.picture(1.5, 1)
    effects = station.verdict(2.0, 1, GOOD)
    assert [answer.code for answer in answers(effects)] == [Code.VERDICT_LATE]
    assert Noted("late_verdict") in effects


def test_a_late_verdict_never_answers_for_the_next_part(station: Station) -> None:
    trigger(station, 1.0, 5)
    station.picture(1.5, 1)
    station.tick(2.0)
    trigger(station, 2.1, 6)
    station.picture(2.2, 2)
    assert station.verdict(2.3, 1, GOOD) == [Noted("late_verdict")]
    assert station.outputs().ng
    assert [answer.trigger_id for answer in answers(station.verdict(2.4, 2, BAD))] == [6]


def test_a_second_trigger_while_judging_is_refused_and_the_first_is_still_judged(station: Station) -> None:
    trigger(station, 1.0, 5)
    station.picture(1.1, 1)
    (refused,) = answers(trigger(station, 1.2, 6))
    assert (refused.trigger_id, refused.decision, refused.code) == (6, Decision.REJECT, Code.TRIGGER_WHILE_BUSY)
    shown = station.outputs()
    assert (shown.refused, shown.refused_trigger_id, shown.refused_code) == (1, 6, Code.TRIGGER_WHILE_BUSY)
    assert [answer.decision for answer in answers(station.verdict(1.3, 1, GOOD))] == [Decision.OK]


def test_a_second_trigger_while_the_picture_is_taken_spoils_both(station: Station) -> None:
    """The picture that is still to come may show either part."""
    trigger(station, 1.0, 5)
    trigger(station, 1.1, 6)
    (answer,) = answers(station.picture(1.2, 1))
    assert (answer.trigger_id, answer.decision, answer.code) == (5, Decision.REJECT, Code.TRIGGER_WHILE_BUSY)


def test_the_same_id_twice_spoils_both_as_it_names_both(station: Station) -> None:
    trigger(station, 1.0, 5)
    station.picture(1.1, 1)
    trigger(station, 1.2, 5)
    (answer,) = answers(station.verdict(1.3, 1, GOOD))
    assert answer.decision is Decision.REJECT


def test_a_result_stays_until_it_is_acknowledged(station: Station) -> None:
    run(station, 1.0, 5)
    station.delivered(1.3, 1)
    station.tick(100.0)
    assert station.outputs().ok
    assert station.acknowledge(101.0, 1) == []
    assert (station.outputs().ok, station.outputs().result_valid) == (False, False)
    assert station.acknowledge(101.1) == [Noted("stray_acknowledgement")]


def test_an_acknowledgement_of_another_result_changes_nothing(station: Station) -> None:
    run(station, 1.0, 5)
    station.delivered(1.3, 1)
    assert station.acknowledge(1.4, 9) == [Noted("stray_acknowledgement")]
    assert station.outputs().ok


def test_the_next_trigger_clears_an_unacknowledged_result(station: Station) -> None:
    run(station, 1.0, 5)
    effects = trigger(station, 1.5, 6)
    assert Noted("unacknowledged") in effects
    assert (station.outputs().ok, station.outputs().result_valid, station.outputs().busy) == (False, False, True)


def test_an_ok_that_has_not_reached_the_plc_within_the_window_is_withdrawn(station: Station) -> None:
    run(station, 1.0, 5)
    (effect,) = station.delivered(2.0, 1)
    assert isinstance(effect, Withdrawn)
    assert effect.answer.code is Code.ANSWER_LATE
    assert station.outputs().ng


def test_equal_results_are_told_apart_by_their_number(station: Station) -> None:
    run(station, 1.0, 5)
    first = station.outputs().result
    run(station, 1.5, 5)
    assert station.outputs().result != first


def test_a_lost_link_rejects_what_runs_and_what_nobody_has_acknowledged(station: Station) -> None:
    trigger(station, 1.0, 5)
    assert [answer.code for answer in answers(station.link_lost(1.1))] == [Code.LINK_LOST]
    assert [answer.code for answer in answers(trigger(station, 1.2, 6))] == [Code.LINK_LOST]
    station.link_found(1.3)
    run(station, 1.4, 7)
    assert any(isinstance(effect, Withdrawn) for effect in station.link_lost(1.7))
    assert station.outputs().ng


@pytest.mark.parametrize(
    "verdict",
    [
        GatewayVerdict("tile", "OK", 1.0, 2.0),
        GatewayVerdict("bolt", "OK", math.nan, 2.0),
        GatewayVerdict("bolt", "OK", 1.0, math.inf),
        GatewayVerdict("bolt", "OK", 3.0, 2.0),
        GatewayVerdict("bolt", "OK", 1.5, 2.0, review_threshold=1.2),
        GatewayVerdict("bolt", "NG", 1.0, 2.0),
    ],
)
def test_a_verdict_that_is_not_sound_is_reject(station: Station, verdict: GatewayVerdict) -> None:
    answer = run(station, 1.0, 5, verdict)
    assert (answer.decision, answer.code) == (Decision.REJECT, Code.VERDICT_INVALID)


def test_a_picture_of_a_size_that_the_artifact_has_not_seen_is_reject_whatever_the_verdict(station: Station) -> None:
    for number, verdict in enumerate((GOOD, BAD), 1):
        answer = run(station, number, number, replace(verdict, size_seen=False))
        assert (answer.decision, answer.code) == (Decision.REJECT, Code.PICTURE_FORMAT)
        assert run(station, number + 0.5, 10 + number, replace(verdict, size_seen=True)).code is Code.JUDGED


def test_while_a_condition_lasts_triggers_are_rejected_by_it_and_afterwards_judged(station: Station) -> None:
    station.condition(0.5, "camera", Code.CAMERA_LOST)
    assert not station.outputs().ready
    assert [answer.code for answer in answers(trigger(station, 1.0, 5))] == [Code.CAMERA_LOST]
    station.condition(1.1, "camera", None)
    assert run(station, 1.2, 6).decision is Decision.OK


def test_a_stop_answers_the_running_cycle_and_leaves_the_fail_safe_value(station: Station) -> None:
    trigger(station, 1.0, 5)
    assert [answer.code for answer in answers(station.stop(1.1))] == [Code.STOPPED]
    shown = station.outputs()
    assert (shown.phase, shown.ng, shown.ready, shown.code) == (Phase.STOPPED, True, False, Code.STOPPED)
    assert [answer.code for answer in answers(trigger(station, 1.2, 6))] == [Code.STOPPED]


def test_an_abort_ends_the_cycle(station: Station) -> None:
    trigger(station, 1.0, 5)
    assert [answer.code for answer in answers(station.abort(1.1))] == [Code.ABORTED]
    assert station.abort(1.2) == []


def test_a_clock_that_goes_back_is_noted_and_lengthens_no_window(station: Station) -> None:
    trigger(station, 1.0, 5)
    station.tick(1.9)
    assert Noted("clock_back") in station.tick(0.5)
    assert [answer.code for answer in answers(station.tick(2.0))] == [Code.PICTURE_LATE]


def test_every_code_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Code)
