"""Tries every connection of a line.toml and says what is wrong: for `mkd-line check`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from service.gateway.codes import MEANINGS
from service.gateway.gateway import Gateway
from service.gateway.settings import LineSettings
from service.logs import FIELDS, logger

PATIENCE_S = 15.0


class Details(logging.Handler):
    """Keeps what the log says of each station's connections: the newest word of each kind."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: dict[str, dict[str, str]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, object] = getattr(record, FIELDS, {})
        if "station" in fields and fields.get("detail"):
            self.said.setdefault(str(fields["station"]), {})[record.getMessage()] = str(fields["detail"])


async def check(settings: LineSettings, say: Callable[[str], None]) -> bool:
    """A line for each station, and below it what each connection says; whether all are ready. Each station is run for
    real, and nothing is triggered.

    A station whose PLC has to speak first (a server here) is told as waiting for its PLC.
    """
    gateway, details = Gateway(settings), Details()
    logger.addHandler(details)
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
        for what, detail in details.said.get(runner.name, {}).items() if faults else ():
            say(f"    {what}: {detail}")
    gateway.stop()
    await running
    logger.removeHandler(details)
    return good
