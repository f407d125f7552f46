"""The way that has been fastest lately is taken; what else there is is tried now and then."""

from __future__ import annotations

from collections import Counter

import pytest

from models.backends.fastest_way import KEPT, TRY_EVERY, FastestWay


class Ways:
    """Two ways that take as many seconds as they are told, by a clock of their own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *seconds: float) -> None:
        self.seconds, self.taken, self._now = list(seconds), Counter[int](), 0.0
        monkeypatch.setattr("models.backends.fastest_way.time.perf_counter", lambda: self._now)
        self.fastest = FastestWay([lambda number=number: self._take(number) for number in range(len(seconds))])

    def _take(self, number: int) -> int:
        self.taken[number] += 1
        self._now += self.seconds[number]
        return number

    def calls(self, count: int) -> Counter[int]:
        self.taken.clear()
        for _ in range(count):
            self.fastest()
        return Counter(self.taken)


@pytest.mark.parametrize(("seconds", "best"), [((1.0, 2.0), 0), ((2.0, 1.0), 1), ((1.0, 0.97), 0)])
def test_each_is_tried_then_the_fastest_is_taken(
    seconds: tuple[float, float], best: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = Ways(monkeypatch, *seconds)
    assert ways.calls(2 * KEPT) == {0: KEPT, 1: KEPT}
    taken = ways.calls(4 * TRY_EVERY)
    assert taken[best] > taken[1 - best]
    assert 1 <= taken[1 - best] <= 4


def test_one_disturbed_call_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ways = Ways(monkeypatch, 1.0, 2.0)
    ways.calls(2 * KEPT)
    ways.seconds[0] = 50.0
    assert ways.calls(1) == {0: 1}
    ways.seconds[0] = 1.0
    assert ways.calls(5) == {0: 5}


def test_when_the_other_becomes_faster_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    ways = Ways(monkeypatch, 1.0, 2.0)
    ways.calls(2 * KEPT)
    ways.seconds = [3.0, 2.0]
    ways.calls(2 * TRY_EVERY)
    assert ways.calls(10)[1] >= 9
    ways.seconds = [1.0, 2.0]
    ways.calls(4 * TRY_EVERY)
    assert ways.calls(10)[0] >= 9


def test_a_way_that_fails_is_heard_and_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> int:
        raise RuntimeError("broken")

    fastest = FastestWay([broken])
    with pytest.raises(RuntimeError, match="broken"):
        fastest()
