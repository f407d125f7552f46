"""Draws from a seed what befalls the service in one schedule: which disturbances, when, to what and for how long."""

from __future__ import annotations

import random
from dataclasses import dataclass

LASTS_S = 2.0  # within which every disturbance begins
DISTURBANCES = {  # kind -> how often, against the others
    "kill one": 4,
    "kill both": 2,
    "kill parent": 1,
    "stop": 1,
    "freeze": 3,
    "full disk": 4,
    "root away": 3,
    "root empty": 2,
    "product away": 3,
    "version away": 3,
    "new version": 4,
    "torn version": 3,
    "foreign version": 2,
    "clock": 4,
    "admin storm": 6,
}
CLIENTS = (
    *("slow head", "slow body", "announces much", "never reads", "breaks off", "no http"),
    *("empty objects", "impatient", "many connections", "pipelined", "huge header", "hangs up"),
)
ONCE = frozenset({"kill both", "kill parent", "stop"})  # each costs a start: no schedule has two of them


@dataclass(frozen=True, order=True)
class Event:
    """`at` seconds after the begin; `which` chooses a process, product or version; `seconds` is for how long."""

    at: float
    kind: str
    which: int
    seconds: float


@dataclass(frozen=True)
class Schedule:
    """All that befalls the service, in order of time."""

    seed: int
    events: tuple[Event, ...]

    @property
    def kinds(self) -> frozenset[str]:
        """What kinds of events there are."""
        return frozenset(event.kind for event in self.events)

    def text(self) -> str:
        """In a line."""
        return ", ".join(
            f"{event.at:.2f} s {event.kind} ({event.which}, {event.seconds:.1f} s)" for event in self.events
        )


def draw(seed: int) -> Schedule:
    """The schedule of that seed, always the same: two to four disturbances, one to three strange clients."""
    chance = random.Random(seed)
    kinds = chance.choices(list(DISTURBANCES), list(DISTURBANCES.values()), k=chance.randint(2, 4))
    heavy = [kind for kind in kinds if kind in ONCE]
    kinds = [kind for kind in kinds if kind not in ONCE] + heavy[:1]
    kinds += chance.sample(CLIENTS, k=chance.randint(1, 3))
    events = [
        Event(chance.uniform(0.0, LASTS_S), kind, chance.randrange(1000), chance.uniform(0.2, 2.0)) for kind in kinds
    ]
    return Schedule(seed, tuple(sorted(events)))
