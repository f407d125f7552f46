"""Opens the feedback database, SQLite or PostgreSQL, brings its tables up to date, and gives transactions on it.

Writers take turns, across processes as well: SQLite has one writer at a time, and on PostgreSQL each transaction that
writes holds one lock. So ids become visible in their order, and whoever has read up to an id has missed nothing.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, column, create_engine, event, inspect, make_url, select, table
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from service.feedback.settings import FeedbackSettings

FILE = "feedback.sqlite"
FOLDER_MODE = 0o750
FILE_MODE = 0o640
BUSY_S = 10.0  # for which a transaction waits for another one's end
LOCKED_PAUSE_S = 0.02
CONNECT_S = 5
STATEMENT_MS = 30_000
MIGRATIONS = Path(__file__).parent / "migrations"
NEWEST_REVISION = "0003"
REVISION_TABLE = table("alembic_version", column("version_num"))  # Alembic's own
WRITE_LOCK = 0x6D6B6466  # "mkdf": of PostgreSQL's advisory locks, the one that writers of a feedback store hold


class DatabaseFaultError(Exception):
    """The database cannot be used at present; `is_full` where the disk is what is full. The text says why."""

    def __init__(self, text: str, *, is_full: bool = False) -> None:
        super().__init__(text)
        self.is_full = is_full


class Database:
    """An open database. Every method may be called from any thread; each raises DatabaseFaultError."""

    def __init__(self, settings: FeedbackSettings) -> None:
        url = url_of(settings)
        self.is_sqlite = url.get_backend_name() == "sqlite"
        with _faults():
            if self.is_sqlite:
                _make_private(settings.folder)
            self._engine = create_engine(url, connect_args=_connect_args(self.is_sqlite), pool_size=4, max_overflow=4)
            self._writing = self._engine.execution_options(mkd_write=True)
            # SQLite's readers see one state by themselves. Writers must not: they look once it is their turn.
            level = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
            self._reading = self._engine.execution_options(**level)
            if self.is_sqlite:
                event.listen(self._engine, "connect", _prepare_sqlite)
                event.listen(self._engine, "begin", _begin_sqlite)
            try:
                with self.writing() as connection:
                    migrate(connection)
            except BaseException:
                self._engine.dispose()
                raise
        self._file = Path(str(url.database))
        self._identity = _identity(self._file) if self.is_sqlite else None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of all tables."""
        with _faults(), self._reading.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction in turn with all other writers; rolled back where the block raises."""
        with _faults(), self._writing.connect() as connection, connection.begin():
            if not self.is_sqlite:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")
            yield connection

    def is_gone(self) -> bool:
        """Whether the file was taken away: what is written into it now, nobody would find."""
        return self._identity is not None and _identity(self._file) != self._identity

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()


def _make_private(folder: Path) -> None:
    """The folder and the file of the database for owner and group only; SQLite's further files take after that one."""
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    os.close(os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE))


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def url_of(settings: FeedbackSettings) -> URL:
    """The database's URL. Raises DatabaseFaultError for one that cannot be read; nothing of it is repeated."""
    if settings.url is None:
        return URL.create("sqlite", database=str(settings.folder.absolute() / FILE))
    try:
        return make_url(settings.url)
    except (ArgumentError, ValueError):
        raise DatabaseFaultError("the URL of the database cannot be read") from None


def unreachable(url: str) -> str | None:
    """Why the server of a PostgreSQL database cannot be asked, None where it can; nothing is changed in it."""
    try:
        with _faults():
            engine = create_engine(make_url(url), connect_args=_connect_args(is_sqlite=False))
            with engine.connect():
                return None
    except DatabaseFaultError as error:
        return str(error)


def migrate(connection: Connection) -> None:
    """Bring the tables up to the newest revision, in the transaction of `connection`: all of it or nothing.

    Alembic, 12 MiB of memory and a quarter of a second, is imported where there is something to bring up to date.
    """
    if _revision(connection) == NEWEST_REVISION:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        newest = ScriptDirectory.from_config(config).get_current_head()
        raise DatabaseFaultError(f"its tables are not of revision {newest} or before ({error})") from None


def _revision(connection: Connection) -> str | None:
    """Which revision the tables are of; None where that is not one revision."""
    if not inspect(connection).has_table(REVISION_TABLE.name):
        return None
    found = connection.scalars(select(REVISION_TABLE.c.version_num)).all()
    return str(found[0]) if len(found) == 1 else None


def _connect_args(is_sqlite: bool) -> dict[str, Any]:
    if is_sqlite:
        return {"timeout": BUSY_S, "isolation_level": None}  # transactions are begun by `_begin_sqlite`
    options = f"-c statement_timeout={STATEMENT_MS} -c lock_timeout={int(BUSY_S * 1000)}"
    return {"connect_timeout": CONNECT_S, "options": options, "application_name": "mkdserve"}


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    _switch_to_wal(connection)
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """A fresh file that another process opens at the same moment is refused at once: SQLite does not wait here."""
    give_up_at = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= give_up_at:
                raise
            time.sleep(LOCKED_PAUSE_S)


def _begin_sqlite(connection: Connection) -> None:
    """A writer asks for its turn at once: one that reads first could be refused its turn without waiting."""
    is_writing = connection.get_execution_options().get("mkd_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")


@contextmanager
def _faults() -> Iterator[None]:
    """What disk, driver and server raise, as DatabaseFaultError; what is wrong with a row alone stays as it is."""
    try:
        yield
    except (IntegrityError, DataError):
        raise
    except DBAPIError as error:
        text = str(error.orig).strip().splitlines()[0] if error.orig is not None else type(error).__name__
        raise DatabaseFaultError(text, is_full="is full" in text or "No space left" in text) from error
    except NoSuchModuleError:
        raise DatabaseFaultError("no driver for this kind of database") from None
    except SQLAlchemyError as error:  # as when no connection came free in time
        raise DatabaseFaultError(str(error).splitlines()[0]) from error
    except ImportError as error:
        raise DatabaseFaultError(f"{error}: pip install 'mkdserve[postgres]'") from None
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        where = f"{error.filename}: " if error.filename else ""
        raise DatabaseFaultError(f"{where}{error.strerror or error}", is_full=is_full) from error
