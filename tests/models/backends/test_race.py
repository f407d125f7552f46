"""The race of backends: who runs what, who wins, and that its outcome is kept under what it follows from."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.backends import race_record
from models.backends.by_size import SIZES, BySize
from models.backends.race import FAR_BEHIND, LEAST_TURNS, SECONDS, Timings, in_words, race, winners
from models.backends.race_record import FILE, conditions, kept_race

PICTURES = torch.rand(3, 3, 32, 32)


class Clock:
    """Time that passes only while a stand-in works."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class StandIn:
    """Takes so many seconds an image, by batch size; the first call of each size takes ten times that."""

    def __init__(self, name: str, clock: Clock, seconds: dict[int, float]) -> None:
        self.name = name
        self.batches: list[int] = []
        self.taps: list[Collection[str] | None] = []
        self._clock = clock
        self._seconds = seconds

    def activations(self, images: Tensor, taps: Collection[str] | None = None) -> dict[str, Tensor]:
        slow = 1 if len(images) in self.batches else 10
        self.batches.append(len(images))
        self.taps.append(taps)
        self._clock.now += slow * self._seconds[len(images)] * len(images)
        return {}


def raced(**seconds: dict[int, float]) -> tuple[Timings, dict[str, StandIn]]:
    clock = Clock()
    stand_ins = {name: StandIn(name, clock, given) for name, given in seconds.items()}
    return race(stand_ins, PICTURES, ("pool4",), clock), stand_ins


def test_each_size_is_timed_without_its_first_turn() -> None:
    one, two = {1: 0.003, 8: 0.002, 32: 0.001}, {1: 0.002, 8: 0.0025, 32: 0.0012}
    timings, stand_ins = raced(one=one, two=two)
    assert timings["one"] == pytest.approx(one)
    assert timings["two"] == pytest.approx(two)
    assert set(stand_ins["one"].batches) == set(SIZES)
    assert set(stand_ins["one"].taps) == {("pool4",)}


def test_who_is_far_behind_does_not_run_larger_batches() -> None:
    slow = FAR_BEHIND[0] * 0.002 * 1.01
    timings, stand_ins = raced(
        fast={1: 0.002, 8: 0.002, 32: 0.002}, slow={1: slow, 8: slow}, close={1: 0.003, 8: 0.0025, 32: 0.002}
    )
    assert list(timings["slow"]) == [1]
    assert list(timings["close"]) == [1, 8, 32]
    assert set(stand_ins["slow"].batches) == {1}


def test_a_slow_source_is_not_raced_in_large_batches() -> None:
    heavy = SECONDS / (LEAST_TURNS[2] * 32)
    timings, _ = raced(one={1: heavy, 8: heavy, 32: heavy}, two={1: heavy, 8: heavy, 32: heavy})
    assert list(timings["one"]) == [1, 8]


def test_one_backend_wins_all_sizes_where_no_other_is_a_tenth_faster() -> None:
    assert winners({"a": {1: 1.0, 8: 1.05, 32: 1.0}, "b": {1: 1.2, 8: 1.0, 32: 1.0}}) == {1: "a", 8: "a", 32: "a"}


def test_each_size_goes_to_its_own_backend_where_that_pays() -> None:
    timings: Timings = {"ncnn": {1: 1.0, 8: 0.8, 32: 0.8}, "winograd": {1: 1.5, 8: 0.75, 32: 0.6}}
    assert winners(timings) == {1: "ncnn", 8: "ncnn", 32: "winograd"}


def test_a_size_that_nobody_ran_goes_as_the_one_before() -> None:
    assert winners({"a": {1: 1.0, 8: 2.0}, "b": {1: 1.9, 8: 1.0}}) == {1: "a", 8: "b", 32: "b"}
    assert winners({"a": {1: 1.0}, "b": {1: 3.0}}) == dict.fromkeys(SIZES, "a")


def test_the_outcome_is_told_in_words() -> None:
    words = in_words({"a": {1: 0.001, 8: 0.002}, "b": {1: 0.0031}}, kept=True)
    assert words == "measured before, ms an image: batch 1: a 1.0, b 3.1; batch 8: a 2.0"


@pytest.mark.parametrize(("count", "expected"), [(1, "a"), (2, "a"), (3, "b"), (16, "b"), (17, "c"), (500, "c")])
def test_a_batch_goes_to_the_backend_of_its_size(count: int, expected: str) -> None:
    clock = Clock()
    kinds = {name: StandIn(name, clock, dict.fromkeys(range(501), 0.0)) for name in "abc"}
    backend = BySize(dict(zip(SIZES, kinds.values(), strict=True)))
    backend.activations(torch.empty(count, 3, 1, 1), ("pool2",))
    assert {name: kind.batches for name, kind in kinds.items() if kind.batches} == {expected: [count]}
    assert backend.name == "a, b, c"


def test_a_race_is_run_once_under_the_same_conditions(tmp_path: Path) -> None:
    timings: Timings = {"a": {1: 0.5}}
    assert kept_race(tmp_path, "here", lambda: timings) == (timings, False)
    assert kept_race(tmp_path, "here", lambda: pytest.fail("raced again")) == (timings, True)
    assert kept_race(tmp_path, "elsewhere", lambda: {"b": {1: 0.1}}) == ({"b": {1: 0.1}}, False)
    assert set(json.loads((tmp_path / FILE).read_text())["races"]) == {"here", "elsewhere"}


@pytest.mark.parametrize("content", ["", "no JSON", "[]", '{"races": {"here": 3}}'])
def test_a_damaged_record_is_raced_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    assert kept_race(tmp_path, "here", lambda: {"a": {1: 0.5}}) == ({"a": {1: 0.5}}, False)
    assert kept_race(tmp_path, "here", dict) == ({"a": {1: 0.5}}, True)


def test_a_folder_that_cannot_be_written_costs_a_race(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert kept_race(tmp_path / "file", "here", lambda: {"a": {1: 0.5}}) == ({"a": {1: 0.5}}, False)


def test_conditions_name_the_processor_the_threads_and_the_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race_record, "processor_name", lambda: "Some CPU")
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    found = conditions("vgg16", ("pool2", "pool4"), 128, 3)
    assert found.startswith("Some CPU; 3 threads, sleeping; torch ")
    assert found.endswith("; vgg16 to pool4 at 128 px")
    assert torch.__version__.split("+", maxsplit=1)[0] in found
