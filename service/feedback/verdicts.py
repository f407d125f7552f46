"""Verdicts in the database: stored, counted and found again, with their reviews."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, literal_column, select
from sqlalchemy import insert as insert_into
from sqlalchemy.exc import DataError, IntegrityError, StatementError

from service.feedback.database import Database
from service.feedback.rows import Resembles, Review, VerdictFilter, VerdictRow
from service.feedback.tables import DEFECT_GROUPS, DEFECT_REGIONS, REVIEWS, VERDICTS

NO_PICTURE: dict[str, object] = {"picture_file": None, "picture_type": None, "picture_bytes": None}
TO_REVIEW = frozenset({"REVIEW", "NG"})
LONGEST_NAME = 1024


def insert(database: Database, rows: Sequence[dict[str, object]]) -> int:
    """Store rows in their order in one transaction; the number of those that the database refuses for their contents.

    Raises DatabaseFaultError, and nothing is stored then.
    """
    whole = [_whole(row) for row in rows]
    try:
        with database.writing() as connection:
            connection.execute(insert_into(VERDICTS), whole)
        return 0
    except (DataError, IntegrityError, StatementError):
        return sum(not _stored_alone(database, row) for row in whole)


def _stored_alone(database: Database, row: dict[str, object]) -> bool:
    try:
        with database.writing() as connection:
            connection.execute(insert_into(VERDICTS), row)
    except (DataError, IntegrityError, StatementError):
        logging.getLogger("mkdserve").exception("a verdict could not be stored")
        return False
    return True


def _whole(row: dict[str, object]) -> dict[str, object]:
    """With all columns, and texts as every database takes them."""
    filled = {**NO_PICTURE, **row}
    is_wanted = bool(filled["spot_check"]) or filled["decision"] in TO_REVIEW
    filled["waiting"] = is_wanted and filled["picture_file"] is not None
    filled["judged"] = ""
    return {name: _plain(value) if isinstance(value, str) else value for name, value in filled.items()}


def _plain(text: str) -> str:
    """PostgreSQL takes no NUL, and no database half of a surrogate pair."""
    return text[:LONGEST_NAME].replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def conditions(wanted: VerdictFilter) -> list[ColumnElement[bool]]:
    """The filter as conditions on the table of verdicts."""
    columns = VERDICTS.c
    equal = (
        (columns.product, wanted.product),
        (columns.version, wanted.version),
        (columns.line, wanted.line),
        (columns.station, wanted.station),
        (columns.part_id, wanted.part_id),
        (columns.spot_check, wanted.spot_check),
    )
    found = [column == value for column, value in equal if value is not None]
    if wanted.decisions:
        found.append(columns.decision.in_(sorted(wanted.decisions)))
    if wanted.since is not None:
        found.append(columns.at >= wanted.since)
    if wanted.until is not None:
        found.append(columns.at < wanted.until)
    if wanted.reviewed == "disagreed":
        found.append(columns.judged == "disagreed")
    elif wanted.reviewed is not None:
        empty: ColumnElement[str] = literal_column("''")  # written out, so that the index of reviewed verdicts is taken
        found.append(columns.judged != empty if wanted.reviewed == "yes" else columns.judged == empty)
    return found


def page(connection: Connection, wanted: VerdictFilter, before: int | None, limit: int) -> list[VerdictRow]:
    """Newest first, those with an id under `before`."""
    chosen = select(VERDICTS).where(*conditions(wanted)).order_by(VERDICTS.c.id.desc()).limit(limit)
    if before is not None:
        chosen = chosen.where(VERDICTS.c.id < before)
    return with_reviews(connection, chosen)


def queue(connection: Connection, wanted: VerdictFilter, limit: int) -> tuple[list[VerdictRow], int]:
    """What waits for review, oldest first, and how many wait in all."""
    chosen = select(VERDICTS).where(VERDICTS.c.waiting, *conditions(wanted)).order_by(VERDICTS.c.id).limit(limit)
    return with_reviews(connection, chosen), waiting_count(connection, wanted)


def waiting_count(connection: Connection, wanted: VerdictFilter) -> int:
    """How many wait for review."""
    waiting = select(func.count()).select_from(VERDICTS).where(VERDICTS.c.waiting, *conditions(wanted))
    return int(connection.scalar(waiting) or 0)


def after(connection: Connection, wanted: VerdictFilter, last_id: int, limit: int) -> list[VerdictRow]:
    """Oldest first, those with an id above `last_id`."""
    chosen = select(VERDICTS).where(VERDICTS.c.id > last_id, *conditions(wanted)).order_by(VERDICTS.c.id)
    return with_reviews(connection, chosen.limit(limit))


def one(connection: Connection, verdict_id: int) -> VerdictRow | None:
    """The verdict of this id."""
    found = with_reviews(connection, select(VERDICTS).where(VERDICTS.c.id == verdict_id))
    return found[0] if found else None


def newest_id(connection: Connection) -> int:
    """The id of the newest verdict, 0 where there is none."""
    return int(connection.scalar(select(func.max(VERDICTS.c.id))) or 0)


def with_reviews(connection: Connection, chosen: Select[Any]) -> list[VerdictRow]:
    """The verdicts that a selection finds, in its order."""
    found = connection.execute(chosen).mappings().all()
    ids = [row["id"] for row in found]
    reviews, alike = _reviews_of(connection, ids), _resembled(connection, ids)
    return [
        VerdictRow(**row, reviews=tuple(reviews.get(row["id"], ())), resembles=alike.get(row["id"])) for row in found
    ]


def _reviews_of(connection: Connection, ids: Iterable[int]) -> Mapping[int, list[Review]]:
    """The reviews of these verdicts, oldest first."""
    wanted = select(REVIEWS).where(REVIEWS.c.verdict_id.in_(list(ids))).order_by(REVIEWS.c.id)
    found: dict[int, list[Review]] = {}
    for row in connection.execute(wanted).mappings():
        members = {name: value for name, value in row.items() if name != "withdrawn_by"}
        found.setdefault(row["verdict_id"], []).append(Review(**members))
    return found


def _resembled(connection: Connection, ids: Iterable[int]) -> Mapping[int, Resembles]:
    """The groups that these verdicts' regions belong to, but for a region that is alone in a group without a name."""
    regions, groups = DEFECT_REGIONS.c, DEFECT_GROUPS.c
    wanted = select(regions.verdict_id, regions.group_id, groups.name, regions.distance).join_from(
        DEFECT_REGIONS, DEFECT_GROUPS, regions.group_id == groups.id
    )
    is_group = (groups.members > 1) | groups.name.is_not(None)
    found = connection.execute(wanted.where(regions.verdict_id.in_(list(ids)), is_group))
    return {row.verdict_id: Resembles(row.group_id, row.name, row.distance) for row in found}
