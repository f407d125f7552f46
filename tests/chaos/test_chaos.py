"""A bounded part of the chaos schedules, on the real service with a stand-in source; `make chaos` runs 200."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.harness import hostile
from tests.chaos import disturbances
from tests.chaos.__main__ import command_of
from tests.chaos.invariants import STRENGTH_S
from tests.chaos.run import Runner
from tests.chaos.schedule import CLIENTS, DISTURBANCES, draw
from tests.chaos.world import opened

# A kill, a full disk, an admin storm, folders and clocks that go, four kinds of strange clients.
SEEDS = (7, 5)


def test_a_seed_is_a_schedule_and_200_of_them_hold_every_kind_of_event() -> None:
    assert draw(7) == draw(7) != draw(8)
    assert set(DISTURBANCES) == set(disturbances.KINDS)
    assert set(CLIENTS) == set(hostile.KINDS)
    drawn = frozenset.union(*(draw(seed).kinds for seed in range(200)))
    assert drawn == {*DISTURBANCES, *CLIENTS}


@pytest.mark.slow
def test_no_schedule_breaks_an_invariant(tmp_path: Path) -> None:
    with opened(tmp_path) as world:
        runner = Runner(world, STRENGTH_S)
        found = [runner.run(draw(seed)) for seed in SEEDS]
    broken = {command_of(one.schedule.seed): one.faults for one in found if one.faults}
    assert broken == {}
    assert all(one.verdicts for one in found)
