"""Tries every connection of a line.toml and says what is wrong: for `mkd-line check`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from service.gateway.codes import MEANINGS
from service.gateway.gateway import Gateway
from service.gateway.settings import LineSettings

PATIENCE_S = 8.0


async def check(settings: LineSettings, say: Callable[[str], None]) -> bool:
    """A line for each station; whether all are ready. Each station is run for real, and nothing is triggered.

    A station whose PLC has to speak first (a server here) is told as waiting for its PLC.
    """
    gateway = Gateway(settings)
    running = asyncio.create_task(gateway.run())
    loop = asyncio.get_running_loop()
    until = loop.time() + PATIENCE_S
    while loop.time() < until and not running.done() and not all(runner.outputs().ready for runner in gateway.runners):
        await asyncio.sleep(0.1)
    good = True
    for runner in gateway.runners:
        faults = runner.conditions()
        good = good and not faults
        text = "; ".join(f"{name}: {MEANINGS[code]} ({int(code)})" for name, code in faults.items())
        say(f"{runner.name}: {text or 'ready'}")
    gateway.stop()
    await running
    return good
