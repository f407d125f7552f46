"""Lets one schedule befall a world and says which invariants it has broken."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from benchmarks.harness import hostile
from tests.chaos import disturbances, invariants
from tests.chaos.disturbances import Orders, order
from tests.chaos.load import Record, call_until
from tests.chaos.schedule import LASTS_S, Event, Schedule
from tests.chaos.site import PRODUCTS, VERSIONS
from tests.chaos.world import World, wait_for

AFTER_S = 0.3  # for which the callers go on when all is healed


@dataclass
class Outcome:
    """`faults` in words, none where all is well; `ready_s` is how long after the healing all products were judged, less
    the time for which the service waited for a core; `wall_s` is the same with it."""

    schedule: Schedule
    faults: list[str] = field(default_factory=list)
    ready_s: float = 0.0
    wall_s: float = 0.0
    verdicts: int = 0
    statuses: dict[int, int] = field(default_factory=dict)
    admin: dict[int, int] = field(default_factory=dict)
    lost: int = 0
    seconds: float = 0.0


class Runner:
    """Runs schedules one after the other on one world."""

    def __init__(self, world: World, ready_s: float = invariants.READY_S) -> None:
        self._world = world
        self._ready_s = ready_s
        self._target = hostile.Target(world.port, PRODUCTS[0], world.site.pictures)
        self._calm()
        self._calmed = invariants.memory_of(world)

    def run(self, schedule: Schedule) -> Outcome:
        """All of it: disturb, heal, check."""
        begun, world = time.monotonic(), self._world
        outcome, record, orders = Outcome(schedule), Record(), Orders()
        before, starts, given_up = invariants.memory_of(world), len(world.starts_s), world.given_up
        try:
            asyncio.run(self._disturbed(schedule, record, orders, outcome))
            wait_for("two ready processes", lambda: invariants.at_full_strength(world), invariants.STRENGTH_S)
        except OSError as error:  # TimeoutError among them
            outcome.faults.append(f"{type(error).__name__}: {error}")
        slowest_s = max(outcome.ready_s, *world.starts_s[starts:], 0.0)
        if slowest_s > self._ready_s:
            outcome.faults.append(f"ready again after {slowest_s:.1f} s, {self._ready_s:g} s are allowed")
        outcome.faults += invariants.answered_once(schedule, record)
        outcome.faults += invariants.verdicts_fit(world, record, orders)
        outcome.faults += invariants.audit_is_whole(world, schedule, record, world.given_up - given_up)
        outcome.faults += invariants.memory_is_back(world, before, self._calmed)
        outcome.verdicts, outcome.statuses = len(record.verdict_ids), dict(sorted(record.statuses.items()))
        outcome.admin = {status: orders.statuses.count(status) for status in sorted(set(orders.statuses))}
        outcome.lost, outcome.seconds = len(record.lost), time.monotonic() - begun
        return outcome

    async def _disturbed(self, schedule: Schedule, record: Record, orders: Orders, outcome: Outcome) -> None:
        world, stop = self._world, asyncio.Event()
        callers = asyncio.create_task(call_until(stop, world.port, world.site, record, f"s{schedule.seed}"))
        begun = time.monotonic()
        await asyncio.gather(*(self._befall(event, begun, orders) for event in schedule.events))
        await asyncio.sleep(max(0.0, begun + LASTS_S - time.monotonic()))
        healed, waited_s = time.monotonic(), world.waited_s()
        await asyncio.to_thread(world.heal)
        await asyncio.to_thread(self._reset, orders)
        await asyncio.to_thread(
            wait_for, "all products judged", lambda: invariants.is_judging(world), invariants.STRENGTH_S
        )
        outcome.wall_s = time.monotonic() - healed
        outcome.ready_s = max(0.0, outcome.wall_s - max(0.0, world.waited_s() - waited_s))
        await asyncio.sleep(AFTER_S)
        stop.set()
        await callers

    async def _befall(self, event: Event, begun: float, orders: Orders) -> None:
        await asyncio.sleep(max(0.0, begun + event.at - time.monotonic()))
        if event.kind in hostile.KINDS:
            await hostile.play(event.kind, self._target, event.seconds)
        else:
            await disturbances.KINDS[event.kind](self._world, event, orders)

    def _reset(self, orders: Orders) -> None:
        """Every product back at its highest version."""
        until = time.monotonic() + invariants.STRENGTH_S
        for product in PRODUCTS:
            for action in ("load", "unpin"):
                while order(self._world, orders, product, action) != 200:
                    if time.monotonic() > until:
                        raise TimeoutError(f"{action} {product}: an operator cannot bring it back")
                    time.sleep(0.1)

    def _calm(self) -> None:
        """Two processes that have seen some of everything that takes memory once."""
        world, record = self._world, Record()
        wait_for("two ready processes", lambda: invariants.at_full_strength(world), invariants.STRENGTH_S)

        async def warm() -> None:
            stop = asyncio.Event()
            callers = asyncio.create_task(call_until(stop, world.port, world.site, record, "warm"))
            for kind in ("never reads", "empty objects", "impatient"):
                await asyncio.gather(*(hostile.play(kind, self._target, 1.0) for _ in range(4)))
            for version in VERSIONS:
                for product in PRODUCTS:
                    await asyncio.to_thread(order, world, Orders(), product, "activate", version)
            stop.set()
            await callers

        asyncio.run(warm())
        self._reset(Orders())
