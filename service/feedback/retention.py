"""Removes pictures and verdicts that need not be kept any longer, so that the store stays within its bounds.

By bytes, pictures go in the order of `RANKS`, of one rank the oldest first. Spot checks are one rank whatever their
decision, as a share that lost its OK parts first would be no random share any more. By age, pictures and verdicts go
alike, but for what somebody has reviewed: that goes by bytes alone (its picture), or never (its verdict).

Several processes may do this at the same time: each step is one transaction, and a picture's file goes after its row
says so. A file that no row names is left by a process that died in between, and goes after `ORPHAN_S`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Connection, and_, case, delete, exists, func, select, update

from service.feedback.database import Database
from service.feedback.pictures import PictureFolder
from service.feedback.rows import VerdictFilter
from service.feedback.settings import FeedbackSettings
from service.feedback.tables import REVIEWS, VERDICTS
from service.feedback.verdicts import waiting_count

DAY_S = 86_400.0
ORPHAN_S = 3600.0
AT_ONCE = 500  # in one transaction, so that verdicts do not wait for it
SPARE = 0.05  # of the bytes, removed beyond what is over the bound, so that it is not done for each picture

COLUMNS = VERDICTS.c
HAS_PICTURE = COLUMNS.picture_file.is_not(None)
IS_REVIEWED = COLUMNS.judged != ""
WAS_REVIEWED = exists().where(REVIEWS.c.verdict_id == COLUMNS.id)
RANKS = case(  # what goes first has the lowest
    (IS_REVIEWED, 4), (COLUMNS.spot_check, 3), (COLUMNS.decision == "NG", 2), (COLUMNS.decision == "REVIEW", 1), else_=0
)


@dataclass
class Removed:
    """What went: pictures by reason (age, bytes) and verdicts; and what is there after it."""

    pictures: dict[str, int] = field(default_factory=lambda: {"age": 0, "bytes": 0})
    verdicts: int = 0
    picture_bytes: int = 0
    waiting: int = 0

    @property
    def anything(self) -> bool:
        return any(self.pictures.values()) or self.verdicts > 0


def keep_within_bounds(database: Database, pictures: PictureFolder, settings: FeedbackSettings, now: float) -> Removed:
    """Remove what is over the bounds of `settings`. `now` is in seconds since 1970. Raises DatabaseFaultError."""
    removed = Removed()
    if settings.keep_days:
        oldest = now - settings.keep_days * DAY_S
        is_old = and_(HAS_PICTURE, COLUMNS.at < oldest, ~IS_REVIEWED)
        removed.pictures["age"] = _drop_pictures(database, pictures, is_old, now)
        removed.verdicts += _drop_verdicts(database, COLUMNS.at < oldest)
    if settings.keep_bytes:
        removed.pictures["bytes"] = _make_room(database, pictures, settings.keep_bytes, now)
    if settings.keep_verdicts:
        removed.verdicts += _drop_beyond(database, settings.keep_verdicts)
    with database.reading() as connection:
        removed.picture_bytes = picture_bytes(connection)
        removed.waiting = waiting_count(connection, VerdictFilter())
    return removed


def remove_orphans(database: Database, pictures: PictureFolder, now: float) -> int:
    """Remove files that no row names; gives their number."""
    found = 0
    for names in _in_parts(pictures.names(now - ORPHAN_S)):
        with database.reading() as connection:
            named = set(connection.scalars(select(COLUMNS.picture_file).where(COLUMNS.picture_file.in_(names))))
        for name in set(names) - named:
            pictures.remove(name)
            found += 1
    return found


def picture_bytes(connection: Connection) -> int:
    """Bytes of all pictures that are kept."""
    return int(connection.scalar(select(func.sum(COLUMNS.picture_bytes)).where(HAS_PICTURE)) or 0)


def _make_room(database: Database, pictures: PictureFolder, most: int, now: float) -> int:
    """Looks in each transaction at what is there, as another process may make room as well."""
    with database.reading() as connection:
        if picture_bytes(connection) <= most:
            return 0
    removed = 0
    ranked = select(COLUMNS.id, COLUMNS.picture_file, COLUMNS.picture_bytes).where(HAS_PICTURE)
    ranked = ranked.order_by(RANKS, COLUMNS.id).limit(AT_ONCE)
    while True:
        going = []
        with database.writing() as connection:
            over = picture_bytes(connection) - (most - int(most * SPARE))
            for row in connection.execute(ranked):
                if over <= 0:
                    break
                going.append(row)
                over -= row.picture_bytes
            _forget_pictures(connection, [row.id for row in going], now)
        for row in going:
            pictures.remove(row.picture_file)
        removed += len(going)
        if over <= 0 or not going:
            return removed


def _drop_pictures(database: Database, pictures: PictureFolder, condition: ColumnElement[bool], now: float) -> int:
    removed = 0
    while True:
        with database.writing() as connection:
            chosen = select(COLUMNS.id, COLUMNS.picture_file).where(condition).order_by(COLUMNS.id).limit(AT_ONCE)
            rows = connection.execute(chosen).all()
            _forget_pictures(connection, [row.id for row in rows], now)
        for row in rows:
            pictures.remove(row.picture_file)
        removed += len(rows)
        if len(rows) < AT_ONCE:
            return removed


def _forget_pictures(connection: Connection, ids: Sequence[int], now: float) -> None:
    gone = {"picture_file": None, "picture_bytes": None, "picture_gone_at": now, "waiting": False}
    connection.execute(update(VERDICTS).where(COLUMNS.id.in_(ids)).values(gone))


def _drop_beyond(database: Database, most: int) -> int:
    """Counts only where the span of ids, which has gaps, leaves it open whether there are too many."""
    with database.reading() as connection:
        first, last = connection.execute(select(func.min(COLUMNS.id), func.max(COLUMNS.id))).one()
        if first is None or last - first < most:
            return 0
        count = int(connection.scalar(select(func.count()).select_from(VERDICTS)) or 0)
        if count <= most:
            return 0
        last = connection.scalar(select(COLUMNS.id).order_by(COLUMNS.id).offset(count - most - 1).limit(1))
    return _drop_verdicts(database, COLUMNS.id <= last)


def _drop_verdicts(database: Database, condition: ColumnElement[bool]) -> int:
    """Those that nobody has reviewed and whose picture is not kept."""
    removed = 0
    going = select(COLUMNS.id).where(condition, ~HAS_PICTURE, ~WAS_REVIEWED).order_by(COLUMNS.id).limit(AT_ONCE)
    while True:
        with database.writing() as connection:
            ids = list(connection.scalars(going))
            connection.execute(delete(VERDICTS).where(COLUMNS.id.in_(ids)))
        removed += len(ids)
        if len(ids) < AT_ONCE:
            return removed


def _in_parts(names: Iterable[str]) -> Iterable[list[str]]:
    part: list[str] = []
    for name in names:
        part.append(name)
        if len(part) == AT_ONCE:
            yield part
            part = []
    if part:
        yield part
