"""Who gets into the house, who is told to come again, and when."""

from __future__ import annotations

import pytest

from service.engine.admission import Admission
from service.engine.latency_model import LatencyModel
from service.engine.observer import Observer
from service.errors import BodyTooLarge, Overloaded, ShuttingDown, TooManyImages
from service.metrics import Metrics


class House:
    """An admission with a rate that the test sets."""

    def __init__(
        self,
        max_images: int = 10,
        max_bytes: int = 1000,
        rate: float | None = None,
        step_s: float = 0.0,
        max_wait_s: float = 0.0,
        caller_share: float = 1.0,
    ) -> None:
        self.metrics = Metrics()
        self.rate = rate
        self.admission = Admission(
            max_images=max_images,
            max_bytes=max_bytes,
            rate=lambda: self.rate,
            observer=Observer(self.metrics),
            step_s=lambda: step_s,
            max_wait_s=max_wait_s,
            caller_share=caller_share,
        )

    def refusals(self, reason: str) -> float:
        return self.metrics.value("mkd_rejections_total", reason=reason)


def test_a_permit_counts_until_it_is_released_once() -> None:
    house = House()
    with house.admission.try_admit(3, 300) as permit:
        assert (house.admission.images, house.admission.size) == (3, 300)
        assert house.metrics.value("mkd_in_flight_bytes") == 300
    permit.release()
    assert (house.admission.images, house.admission.size) == (0, 0)
    assert house.metrics.value("mkd_in_flight_images") == 0


def test_a_permit_is_given_back_when_the_request_fails() -> None:
    house = House()

    def fail() -> None:
        with house.admission.try_admit(1, 100):
            raise ValueError("bad body")

    with pytest.raises(ValueError, match="bad body"):
        fail()
    assert house.admission.images == 0


def test_more_images_than_the_house_holds_are_refused_with_the_time_that_the_present_ones_take() -> None:
    house = House(rate=4.0)
    house.admission.try_admit(8)
    with pytest.raises(Overloaded) as refused:
        house.admission.try_admit(3)
    assert refused.value.retry_after == pytest.approx(2.0)
    assert house.refusals("images") == 3
    house.admission.try_admit(2)


def test_before_any_measurement_a_refusal_says_one_second() -> None:
    house = House()
    house.admission.try_admit(10)
    with pytest.raises(Overloaded) as refused:
        house.admission.try_admit(1)
    assert refused.value.retry_after == 1.0


def test_a_very_low_rate_asks_nobody_to_wait_longer_than_a_minute() -> None:
    house = House(rate=0.001)
    house.admission.try_admit(10)
    assert house.admission.retry_after_s() == 60.0


def test_more_bytes_than_the_house_holds_are_refused() -> None:
    house = House()
    house.admission.try_admit(1, 900)
    with pytest.raises(Overloaded):
        house.admission.try_admit(1, 101)
    assert house.refusals("bytes") == 1


def test_what_an_empty_house_could_not_hold_is_told_so_instead_of_to_come_again() -> None:
    house = House()
    with pytest.raises(TooManyImages):
        house.admission.try_admit(11)
    with pytest.raises(BodyTooLarge):
        house.admission.try_admit(1, 1001)


def test_a_body_of_unknown_length_grows_its_permit_and_keeps_it_when_refused() -> None:
    house = House()
    with house.admission.try_admit(1) as permit:
        permit.grow(size=600)
        permit.grow(images=2)
        with pytest.raises(Overloaded):
            permit.grow(size=500)
        assert (permit.images, permit.size) == (3, 600)
    assert (house.admission.images, house.admission.size) == (0, 0)


def test_whoever_would_wait_past_its_deadline_is_refused_at_the_door() -> None:
    house = House(rate=10.0)
    house.admission.try_admit(5)
    with pytest.raises(Overloaded):
        house.admission.try_admit(1, patience_s=0.4)
    assert house.refusals("wait") == 1
    house.admission.try_admit(1, patience_s=0.6)


def test_the_newcomers_own_step_counts_up_to_that_of_those_before_it() -> None:
    house = House(rate=10.0, step_s=0.3)
    house.admission.try_admit(5)
    with pytest.raises(Overloaded):
        house.admission.try_admit(1, patience_s=0.7)
    house.admission.try_admit(1, patience_s=0.9)
    almost_empty = House(rate=10.0, step_s=60.0)
    almost_empty.admission.try_admit(1)
    almost_empty.admission.try_admit(1, patience_s=0.3)


def test_an_empty_house_takes_anyone_so_that_a_wrong_rate_is_measured_again() -> None:
    house = House(rate=0.001)
    house.admission.try_admit(1, patience_s=0.1)


def test_a_closed_door_refuses_newcomers_and_lets_those_inside_finish() -> None:
    house = House()
    with house.admission.try_admit(1) as permit:
        house.admission.close()
        with pytest.raises(ShuttingDown):
            house.admission.try_admit(1)
        permit.grow(images=1)
    assert house.refusals("shutting_down") == 1


def test_nothing_is_expected_before_anything_is_measured() -> None:
    latency = LatencyModel()
    assert latency.seconds(1000) == 0.0
    assert latency.images_per_second() is None


def test_durations_between_measured_sizes_are_interpolated_and_beyond_them_extended() -> None:
    latency = LatencyModel()
    latency.observe(1, 100, 0.1)
    latency.observe(10, 1000, 0.55)
    assert latency.seconds(50) == pytest.approx(0.1)
    assert latency.seconds(550) == pytest.approx(0.325)
    assert latency.seconds(2000) == pytest.approx(1.1)


def test_the_rate_is_that_of_full_batches_even_after_a_quiet_hour() -> None:
    latency = LatencyModel()
    latency.observe(32, 3200, 0.64)
    for _ in range(1000):
        latency.observe(1, 100, 0.1)
    assert latency.images_per_second() == pytest.approx(50)
    assert latency.images_per_second(devices=2) == pytest.approx(100)


def test_one_hiccup_moves_the_estimate_little_and_a_lasting_change_moves_it_all_the_way() -> None:
    latency = LatencyModel()
    latency.observe(1, 100, 0.1)
    latency.observe(1, 100, 60.0)
    assert latency.seconds(100) < 0.2
    for _ in range(60):
        latency.observe(1, 100, 1.0)
    assert latency.seconds(100) == pytest.approx(1.0, rel=0.01)


def test_what_is_only_announced_is_held_by_nobody_and_refused_where_there_is_no_room() -> None:
    house = House(max_bytes=1000)
    for _ in range(4):
        house.admission.try_admit(1, 10, announced=900)
    assert house.admission.size == 40
    house.admission.try_admit(1, 500)
    with pytest.raises(Overloaded):
        house.admission.try_admit(1, 10, announced=900)
    with pytest.raises(BodyTooLarge):
        house.admission.try_admit(1, 10, announced=1001)


def test_the_first_bytes_that_arrive_fill_the_reservation() -> None:
    house = House()
    with house.admission.try_admit(1, 100) as permit:
        permit.arrived(60)
        assert house.admission.size == 100
        permit.arrived(60)
        assert house.admission.size == 120


def test_one_caller_holds_at_most_its_share_of_the_bytes() -> None:
    house = House(max_bytes=1000, caller_share=0.5)
    house.admission.try_admit(1, 300, caller="a")
    with pytest.raises(Overloaded):
        house.admission.try_admit(1, 300, caller="a")
    assert house.refusals("caller") == 1
    second = house.admission.try_admit(1, 100, caller="a")
    with pytest.raises(Overloaded):
        second.grow(size=101)
    house.admission.try_admit(1, 300, caller="b")


def test_the_only_request_of_a_caller_may_hold_more_than_its_share() -> None:
    house = House(max_bytes=1000, caller_share=0.5)
    permit = house.admission.try_admit(1, 100, caller="a")
    permit.grow(size=700)
    permit.release()
    house.admission.try_admit(1, 100, caller="a").grow(size=800)


def test_no_request_waits_longer_than_the_longest_wait_whatever_its_deadline() -> None:
    house = House(rate=2.0, max_wait_s=2.0)
    for _ in range(5):
        house.admission.try_admit(1)
    for patience_s in (None, 3600.0):
        with pytest.raises(Overloaded):
            house.admission.try_admit(1, patience_s=patience_s)
    assert house.refusals("wait") == 2
    no_limit = House(rate=2.0)
    no_limit.admission.try_admit(9)
    no_limit.admission.try_admit(1)


def test_a_permit_holds_its_answer_until_it_has_left() -> None:
    house = House()
    permit = house.admission.try_admit(3, 300)
    permit.answering(700)
    assert (house.admission.images, house.admission.size) == (0, 700)
    permit.release()
    permit.answering(700)
    assert (house.admission.images, house.admission.size) == (0, 0)
