"""The database is opened, brought up to date once however many open it, and says in words why it cannot be used."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from service.feedback.database import FILE, MIGRATIONS, NEWEST_REVISION, Database, DatabaseFaultError
from service.feedback.settings import FeedbackSettings
from service.feedback.tables import METADATA

if TYPE_CHECKING:
    from tests.service.feedback.conftest import OpenStore


def test_the_migrations_make_the_tables_that_the_code_uses(opened: OpenStore) -> None:
    with opened.database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_the_newest_revision_is_the_last_of_the_migrations() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == NEWEST_REVISION


def test_tables_that_are_up_to_date_are_opened_without_the_migrations(
    opened: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []
    monkeypatch.setattr(command, "upgrade", lambda config, revision: called.append(revision))
    Database(opened.settings).close()
    assert called == []
    with opened.database.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0002'")
    Database(opened.settings).close()
    assert called == ["head"]


def test_what_was_stored_is_there_after_a_restart(opened: OpenStore) -> None:
    verdict = opened.add(decision="NG", part_id="Teil 7 ✓")
    opened.database.close()
    opened.database = Database(opened.settings)
    assert opened.row(verdict).part_id == "Teil 7 ✓"
    assert opened.add() > verdict


def test_processes_that_open_a_fresh_database_at_the_same_time_all_find_it(tmp_path: Path) -> None:
    settings = FeedbackSettings(folder=tmp_path / "100%" / "feedback")
    with ThreadPoolExecutor(6) as threads:
        opened = list(threads.map(lambda _: Database(settings), range(6)))
    for database in opened:
        with database.reading() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM verdicts").scalar() == 0
        database.close()


def test_a_reader_sees_one_state_beside_writers(opened: OpenStore) -> None:
    with opened.database.reading() as reading:
        before = reading.exec_driver_sql("SELECT count(*) FROM verdicts").scalar()
        opened.add()
        assert reading.exec_driver_sql("SELECT count(*) FROM verdicts").scalar() == before == 0
    assert len(opened.rows()) == 1


def test_ids_are_never_given_a_second_time(opened_in_sqlite: OpenStore) -> None:
    last = opened_in_sqlite.add()
    with opened_in_sqlite.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM verdicts")
    assert opened_in_sqlite.add() > last


def test_a_database_of_a_newer_service_is_left_alone(opened: OpenStore) -> None:
    with opened.database.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(DatabaseFaultError, match=r"not of revision \d{4} or before.*9999"):
        Database(opened.settings)


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"a shopping list, and a long one at that, for the whole of the week\n" * 99)
    with pytest.raises(DatabaseFaultError, match="not a database"):
        Database(FeedbackSettings(folder=tmp_path))


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "feedback").write_text("a file")
    with pytest.raises(DatabaseFaultError, match=r"feedback: File exists"):
        Database(FeedbackSettings(folder=tmp_path / "feedback"))


def test_a_server_that_is_not_there_is_said_without_the_password(tmp_path: Path) -> None:
    url = f"postgresql+psycopg://mkd:s3cret@/feedback?host={tmp_path}"
    with pytest.raises(DatabaseFaultError) as caught:
        Database(FeedbackSettings(folder=tmp_path, url=url))
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(FeedbackSettings(folder=tmp_path, url=url))


def test_a_file_that_was_taken_away_is_noticed(opened_in_sqlite: OpenStore) -> None:
    assert not opened_in_sqlite.database.is_gone()
    for file in opened_in_sqlite.settings.folder.glob(f"{FILE}*"):
        file.unlink()
    assert opened_in_sqlite.database.is_gone()


def test_others_on_the_machine_read_nothing(opened_in_sqlite: OpenStore) -> None:
    opened_in_sqlite.add(decision="NG", picture=b"\x89PNG")
    files = [path for path in opened_in_sqlite.settings.folder.rglob("*") if path.is_file()]
    assert len(files) >= 3  # the database, its log, the picture
    assert [path for path in files if path.stat().st_mode & 0o007] == []


def test_a_transaction_that_raises_changes_nothing(opened: OpenStore) -> None:
    verdict = opened.add()

    def cut_off() -> None:
        with opened.database.writing() as connection:
            connection.exec_driver_sql("UPDATE verdicts SET judged = 'good'")
            raise RuntimeError("cut off")

    with pytest.raises(RuntimeError, match="cut off"):
        cut_off()
    assert opened.row(verdict).judged == ""


def test_a_full_disk_is_told_apart(opened_in_sqlite: OpenStore) -> None:
    rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION SELECT i + 1 FROM n WHERE i < 500) SELECT zeroblob(1000) FROM n"

    def fill() -> None:
        with opened_in_sqlite.database.writing() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1")  # no page more than there are
            connection.exec_driver_sql(f"CREATE TABLE more AS {rows}")

    with pytest.raises(DatabaseFaultError, match="full") as caught:
        fill()
    assert caught.value.is_full


def test_queues_and_reviewed_parts_are_found_by_an_index(opened_in_sqlite: OpenStore) -> None:
    """By the conditions as SQLAlchemy writes them: a partial index is taken for no other wording."""
    file = opened_in_sqlite.settings.folder / FILE
    with sqlite3.connect(file) as connection:
        for condition, index in (
            ("product = 'a' AND waiting = 1", "verdicts_waiting"),
            ("judged != ''", "verdicts_judged"),
        ):
            query = f"EXPLAIN QUERY PLAN SELECT * FROM verdicts WHERE {condition} ORDER BY id LIMIT 5"
            plan = " ".join(str(row) for row in connection.execute(query))
            assert index in plan
    connection.close()
