"""Recalibrations in the database: begun one at a time for a product, finished, claimed and applied.

Every change is made in turn with all other writers (`service.feedback.database`), so what is looked at here holds until
the change is written, whichever process asks.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, insert, select, update

from models.names import is_name
from service.errors import RecalibrationNotFound, RecalibrationNotReady, RecalibrationRunning
from service.feedback.recalibration.next_version import next_version
from service.feedback.recalibration.record import Recalibration, State
from service.feedback.tables import RECALIBRATIONS

GONE_S = 120.0  # after which a process that has not finished is taken for dead
DEAD = "the process that worked on it has ended"
COLUMNS = RECALIBRATIONS.c


def begin(connection: Connection, values: Mapping[str, object]) -> Recalibration:
    """A new one in state running. Raises RecalibrationRunning where one of the product runs."""
    product, at = values["product"], float(str(values["at"]))
    runs = COLUMNS.product == product, COLUMNS.state == "running"
    connection.execute(
        update(RECALIBRATIONS).where(*runs, COLUMNS.at < at - GONE_S).values(state="failed", reason=DEAD)
    )
    running = connection.scalar(select(COLUMNS.id).where(*runs))
    if running is not None:
        raise RecalibrationRunning(f"recalibration {running} of {product} runs; wait for it")
    made = connection.execute(insert(RECALIBRATIONS).values(state="running", **values).returning(COLUMNS.id))
    return one(connection, str(product), int(made.scalar_one()))


def finish(
    connection: Connection, product: str, number: int, state: State, values: Mapping[str, Any]
) -> Recalibration | None:
    """End the one that runs; None where it has ended before, and stays as it is."""
    texts = {name: json.dumps(value) if isinstance(value, Mapping) else value for name, value in values.items()}
    running = COLUMNS.id == number, COLUMNS.state == "running"
    ended = connection.execute(update(RECALIBRATIONS).where(*running).values(state=state, **texts)).rowcount
    return one(connection, product, number) if ended else None


def claim(
    connection: Connection, product: str, number: int, taken: Collection[str], by: str, at: float
) -> Recalibration:
    """The ready one with the name of its version, for whoever applies it.

    `taken` are the names in the product's folder. Raises RecalibrationNotReady, also where somebody else applies it.
    """
    found = one(connection, product, number)
    if found.state != "ready":
        why = f": {found.reason}" if found.reason else ""
        raise RecalibrationNotReady(f"recalibration {number} of {product} is {found.state}{why}")
    claimed = connection.scalar(select(COLUMNS.claimed_at).where(COLUMNS.id == number))
    if claimed is not None and claimed > at - GONE_S:
        raise RecalibrationNotReady(f"recalibration {number} of {product} is being applied")
    promised = connection.scalars(select(COLUMNS.to_version).where(COLUMNS.product == product))
    version = next_version({*taken, *(name for name in promised if name is not None and is_name(name))})
    values = {"to_version": version, "claimed_at": at, "applied_by": by}
    connection.execute(update(RECALIBRATIONS).where(COLUMNS.id == number).values(**values))
    return one(connection, product, number)


def give_back(connection: Connection, product: str, number: int, reason: str) -> Recalibration:
    """It could not be applied; it is ready as before, and says why it was not."""
    values = {"to_version": None, "claimed_at": None, "applied_by": None, "reason": reason}
    connection.execute(update(RECALIBRATIONS).where(COLUMNS.id == number).values(**values))
    return one(connection, product, number)


def applied(connection: Connection, product: str, number: int, at: float) -> Recalibration:
    """Its version is active."""
    values = {"state": "applied", "applied_at": at, "reason": None}
    connection.execute(update(RECALIBRATIONS).where(COLUMNS.id == number).values(**values))
    return one(connection, product, number)


def one(connection: Connection, product: str, number: int) -> Recalibration:
    """Raises RecalibrationNotFound."""
    wanted = select(RECALIBRATIONS).where(COLUMNS.id == number, COLUMNS.product == product)
    found = connection.execute(wanted).mappings().first()
    if found is None:
        raise RecalibrationNotFound(f"there is no recalibration {number} of {product[:64]!r}")
    return _record(found)


def newest(connection: Connection, product: str, limit: int) -> list[Recalibration]:
    """Those of a product, newest first."""
    wanted = select(RECALIBRATIONS).where(COLUMNS.product == product).order_by(COLUMNS.id.desc()).limit(limit)
    return [_record(row) for row in connection.execute(wanted).mappings()]


def _record(row: Mapping[Any, Any]) -> Recalibration:
    members = {str(name): value for name, value in row.items() if name != "claimed_at"}
    for name in ("result", "content"):
        members[name] = json.loads(members[name]) if members[name] is not None else None
    return Recalibration(**members)
