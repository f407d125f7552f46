"""A feedback store of the test's own, in SQLite or in a PostgreSQL server that lives as long as the tests."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, select

from service.feedback.database import Database
from service.feedback.pictures import PictureFolder
from service.feedback.rows import VerdictRow
from service.feedback.settings import FeedbackSettings
from service.feedback.tables import VERDICTS
from service.feedback.verdicts import insert, with_reviews

PNG = b"\x89PNG of a part"
NOBODY = "nobody"  # PostgreSQL does not run as root
NUMBERS = itertools.count()


def columns(**given: Any) -> dict[str, Any]:
    """The columns of one verdict, as the observer would give them."""
    usual: dict[str, Any] = {
        "at": 1_780_000_000.0,
        "request_id": "r",
        "image_index": 0,
        "caller": None,
        "product": "screw",
        "version": "1",
        "method": "mkd",
        "hash": "ab" * 32,
        "score": 0.5,
        "p_value": 0.5,
        "threshold": 0.8,
        "review_threshold": 0.76,
        "decision": "OK",
        "decided_by": None,
        "line": None,
        "station": None,
        "part_id": None,
        "filename": None,
        "width": 40,
        "height": 24,
        "spot_check": False,
        "spot_check_share": 0.02,
    }
    return {**usual, **given}


class OpenStore:
    """A store whose parts are used one by one."""

    def __init__(self, settings: FeedbackSettings) -> None:
        self.settings = settings
        self.database = Database(settings)
        self.pictures = PictureFolder(settings.folder)

    def add(self, *, picture: bytes | None = None, **given: Any) -> int:
        """Store one verdict, with its picture where there is one; its id."""
        row = columns(**given)
        if picture is not None:
            row["picture_file"] = self.pictures.keep(picture, row["at"])
            row |= {"picture_type": "image/png", "picture_bytes": len(picture)}
        assert insert(self.database, [row]) == 0
        return self.rows()[-1].id

    def rows(self) -> list[VerdictRow]:
        """All verdicts, oldest first."""
        with self.database.reading() as connection:
            return with_reviews(connection, select(VERDICTS).order_by(VERDICTS.c.id))

    def row(self, verdict_id: int) -> VerdictRow:
        """The verdict of this id."""
        return next(row for row in self.rows() if row.id == verdict_id)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a server of this session's own, without a database; skips where it cannot be had."""
    programs = [shutil.which(name) for name in ("initdb", "pg_ctl", "postgres")]
    if None in programs:
        pytest.skip("needs PostgreSQL's programs")
    pytest.importorskip("psycopg")
    initdb, pg_ctl, _ = (str(Path(str(program)).resolve()) for program in programs)
    folder = Path(tempfile.mkdtemp(prefix="mkd-pg-"))
    user = NOBODY if os.getuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user)

    def run(*command: str) -> None:
        subprocess.run(command, user=user, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)

    data = str(folder / "data")
    run(initdb, "-D", data, "-U", "mkd", "--auth=trust", "--no-sync")
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    run(pg_ctl, "-D", data, "-w", "-o", options, "start")
    try:
        yield f"postgresql+psycopg://mkd@/{{}}?host={folder}"
    finally:
        run(pg_ctl, "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgresql_url(postgresql: str) -> str:
    """The URL of a fresh, empty database."""
    name = f"feedback_{next(NUMBERS)}"
    engine = create_engine(postgresql.format("postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return postgresql.format(name)


@pytest.fixture
def opened_in_sqlite(tmp_path: Path) -> Iterator[OpenStore]:
    """An open store, for what does not depend on the kind of database."""
    made = OpenStore(FeedbackSettings(folder=tmp_path / "feedback"))
    yield made
    made.database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """An open store, once in each database."""
    url = request.getfixturevalue("postgresql_url") if request.param == "postgresql" else None
    made = OpenStore(FeedbackSettings(folder=tmp_path / "feedback", url=url))
    yield made
    made.database.close()
