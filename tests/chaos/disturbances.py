"""What befalls the service: each kind of event of a schedule, done to a world. `World.heal` takes the rest back."""

from __future__ import annotations

import asyncio
import random
import shutil
import threading
import time
import urllib.error
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from tests.chaos.schedule import Event
from tests.chaos.site import PRODUCTS, VERSIONS
from tests.chaos.world import SPARE_VERSION, World

CLOCK_STEPS_S = (-86_400.0 * 400, -3600.0, -1.5, 2.0, 3600.0, 86_400.0 * 40)
ADMIN_ANSWERS = frozenset({200, 404, 409, 422, 503})
ACTIONS = ("activate", "activate", "rollback", "load", "unpin", "unload")


@dataclass
class Orders:
    """What operators have ordered: for each product the times and the version that each order made the active one.

    An entry begins when the order was answered and ends when the next one was sent. Orders that overlap in time make
    none: nobody outside knows which of them came last.
    """

    spans: dict[str, list[tuple[float, float, str]]] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    _under_way: Counter[str] = field(default_factory=Counter)
    _sent: Counter[str] = field(default_factory=Counter)
    _overlapped_until: Counter[str] = field(default_factory=Counter)  # the last order that was not alone
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def sent(self, product: str) -> int:
        """From now on the last order no longer tells the version; the number of this one."""
        with self._lock:
            spans = self.spans.setdefault(product, [])
            if spans and spans[-1][1] == float("inf"):
                spans[-1] = (spans[-1][0], time.monotonic(), spans[-1][2])
            self._sent[product] += 1
            self._under_way[product] += 1
            if self._under_way[product] > 1:
                self._overlapped_until[product] = self._sent[product]
            return self._sent[product]

    def ended(self, product: str, number: int, version: str | None = None) -> None:
        """The order was answered; `version` is the one that it has made the active one everywhere."""
        with self._lock:
            self._under_way[product] -= 1
            if version is not None and number > self._overlapped_until[product]:
                self.spans[product].append((time.monotonic(), float("inf"), version))


Act = Callable[[World, Event, Orders], Awaitable[None]]


async def kill_one(world: World, event: Event, orders: Orders) -> None:
    for server in world.servers()[event.which % 2 : event.which % 2 + 1]:
        server.kill()


async def kill_both(world: World, event: Event, orders: Orders) -> None:
    for server in world.servers():
        server.kill()


async def kill_parent(world: World, event: Event, orders: Orders) -> None:
    await asyncio.to_thread(world.kill_parent)
    await asyncio.to_thread(world.start)


async def stop(world: World, event: Event, orders: Orders) -> None:
    await asyncio.to_thread(world.stop)
    await asyncio.to_thread(world.start)


async def freeze(world: World, event: Event, orders: Orders) -> None:
    """A server gets no time, as on a machine that swaps."""
    for server in world.servers()[event.which % 2 : event.which % 2 + 1]:
        with suppress(psutil.NoSuchProcess):
            server.suspend()
            await asyncio.sleep(event.seconds)
            server.resume()


async def full_disk(world: World, event: Event, orders: Orders) -> None:
    world.disk.fill(world.servers())
    await asyncio.sleep(event.seconds)
    world.disk.empty()


async def root_away(world: World, event: Event, orders: Orders) -> None:
    world.put_away(world.artifacts)
    await asyncio.sleep(event.seconds)
    world.bring_back()


async def root_empty(world: World, event: Event, orders: Orders) -> None:
    """As an unmounted file system leaves it."""
    world.put_away(world.artifacts)
    with suppress(FileExistsError):
        world.artifacts.mkdir()
    await asyncio.sleep(event.seconds)
    world.bring_back()


async def product_away(world: World, event: Event, orders: Orders) -> None:
    world.put_away(world.artifacts / _product(event))
    await asyncio.sleep(2 * event.seconds)
    world.bring_back()


async def version_away(world: World, event: Event, orders: Orders) -> None:
    world.put_away(world.artifacts / _product(event) / VERSIONS[event.which % 2])
    await asyncio.sleep(2 * event.seconds)
    world.bring_back()


async def new_version(world: World, event: Event, orders: Orders) -> None:
    """A whole version, copied beside and renamed."""
    product = _product(event)
    with suppress(FileNotFoundError, FileExistsError, OSError):
        beside = shutil.copytree(world.spare / product, world.artifacts / product / ".coming", dirs_exist_ok=True)
        beside.rename(world.artifacts / product / SPARE_VERSION)


async def torn_version(world: World, event: Event, orders: Orders) -> None:
    """A version that is being copied in place, and stops in the middle."""
    product = _product(event)
    with suppress(OSError):
        folder = world.artifacts / product / "8"
        folder.mkdir()
        text = (world.spare / product / "manifest.json").read_bytes()
        (folder / "manifest.json").write_bytes(text[: event.which % len(text)])


async def foreign_version(world: World, event: Event, orders: Orders) -> None:
    """A version whose source is another one: its hash fits, and no process can run it."""
    product = _product(event)
    with suppress(OSError):
        beside = shutil.copytree(world.foreign / product, world.artifacts / product / ".foreign", dirs_exist_ok=True)
        beside.rename(world.artifacts / product / "9")


async def clock(world: World, event: Event, orders: Orders) -> None:
    world.step_clock(CLOCK_STEPS_S[event.which % len(CLOCK_STEPS_S)])
    await asyncio.sleep(event.seconds)
    world.step_clock(0.0)


async def admin_storm(world: World, event: Event, orders: Orders) -> None:
    """Orders for every product at once, each product's one after the other."""
    until = time.monotonic() + event.seconds
    await asyncio.gather(*(_storm(world, product, event.which, until, orders) for product in PRODUCTS))


async def _storm(world: World, product: str, seed: int, until: float, orders: Orders) -> None:
    chance = random.Random(f"{seed} {product}")
    while time.monotonic() < until:
        action, version = chance.choice(ACTIONS), chance.choice(VERSIONS)
        await asyncio.to_thread(order, world, orders, product, action, version if action == "activate" else None)
        await asyncio.sleep(chance.uniform(0.0, 0.1))


def order(world: World, orders: Orders, product: str, action: str, version: str | None = None) -> int:
    """One order of an operator; its status, 0 where the connection ended."""
    number, made = orders.sent(product), None
    body = {"version": version} if version is not None else None
    try:
        world.service.post(f"/admin/products/{product}/{action}", body)
        status, made = 200, version
    except urllib.error.HTTPError as error:
        status = error.code
        if status not in ADMIN_ANSWERS:
            orders.faults.append(f"{action} {product}: {status} {error.read()[:300]!r}")
    except (urllib.error.URLError, OSError, ValueError):
        return 0
    finally:
        orders.ended(product, number, made)
    orders.statuses.append(status)
    return status


def _product(event: Event) -> str:
    return PRODUCTS[event.which % len(PRODUCTS)]


KINDS: Mapping[str, Act] = {
    each.__name__.replace("_", " "): each
    for each in (
        *(kill_one, kill_both, kill_parent, stop, freeze, full_disk, root_away, root_empty, product_away),
        *(version_away, new_version, torn_version, foreign_version, clock, admin_storm),
    )
}
