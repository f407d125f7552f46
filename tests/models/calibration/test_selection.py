"""The chance with which a part is judged by people, as a function of its score."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from models.calibration.selection import Drawing, Selection, SelectionStep, selection_of


def steps_of(selection: Selection | None) -> list[tuple[float, float]]:
    assert selection is not None
    return [(step.up_to, round(step.probability, 12)) for step in selection.steps]


def test_one_way_of_choosing_is_one_step() -> None:
    found = selection_of([Drawing(0.02, 5.0)] * 40)
    assert steps_of(found) == [(5.0, 0.02)]
    assert found is not None
    assert found.weight(5.0) == pytest.approx(50)
    assert found.weight(5.1) == 1.0
    assert found.weight_above(4.9) == pytest.approx(50)
    assert found.weight_above(5.0) == 1.0


def test_ways_that_change_count_by_their_mean_at_each_score() -> None:
    """Three parts by (0.1, 5), one by (0.5, 3): up to 3 all are by chance, from 3 to 5 the one is looked at surely."""
    found = selection_of([Drawing(0.1, 5.0)] * 3 + [Drawing(0.5, 3.0)])
    assert steps_of(found) == [(3.0, 0.2), (5.0, (3 * 0.1 + 1) / 4)]


def test_parts_without_spot_checks_lower_the_chance_and_do_not_end_it() -> None:
    assert steps_of(selection_of([Drawing(0.0, 5.0), Drawing(0.2, 5.0)])) == [(5.0, 0.1)]


def test_no_selection_where_low_scores_never_had_a_chance() -> None:
    assert selection_of([]) is None
    assert selection_of([Drawing(0.0, 5.0)] * 3) is None
    assert selection_of([Drawing(0.1, math.inf)]) is None


@pytest.mark.parametrize("steps", [[(2.0, 0.1), (1.0, 0.2)], [(1.0, 0.2), (2.0, 0.1)], [(1.0, 0.0)], []])
def test_steps_out_of_order_or_without_a_chance_are_refused(steps: list[tuple[float, float]]) -> None:
    with pytest.raises(ValidationError):
        Selection(steps=tuple(SelectionStep(up_to=level, probability=chance) for level, chance in steps))
