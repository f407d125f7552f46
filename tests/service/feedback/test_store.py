"""The store of a process gets over a server that drops its connections, and over rows that no database takes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from service.feedback.store import FeedbackStore
from service.metrics import Metrics
from tests.service.feedback.conftest import columns

if TYPE_CHECKING:
    from tests.service.feedback.conftest import OpenStore


def stored(opened: OpenStore, metrics: Metrics) -> FeedbackStore:
    """A second store on the same database, opened."""
    store = FeedbackStore(opened.settings, metrics)
    assert store.trouble is not None
    assert store.attempt(store.open)
    assert store.trouble is None
    return store


def row(**given: Any) -> dict[str, object]:
    return dict(columns(**given))


def test_a_row_that_the_database_refuses_keeps_no_other_from_being_stored(opened: OpenStore) -> None:
    metrics = Metrics()
    store = stored(opened, metrics)
    rows = [row(part_id="1"), row(product=None), row(part_id="3"), row(filename="half \ud800 a pair\0")]
    assert store.attempt(partial(store.add, rows))
    assert [(one.part_id, one.filename) for one in opened.rows()] == [
        ("1", None),
        ("3", None),
        (None, "half ? a pair\ufffd"),
    ]
    assert metrics.value("mkd_feedback_verdicts_total", outcome="stored") == 3
    assert metrics.value("mkd_feedback_failures_total", reason="fault") == 1
    store.close()


def test_a_server_that_drops_connections_is_asked_anew(opened: OpenStore) -> None:
    metrics = Metrics()
    store = stored(opened, metrics)
    if not opened.database.is_sqlite:
        with opened.database.reading() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert not store.attempt(partial(store.add, [row()]))
        assert store.trouble is not None
        assert metrics.value("mkd_feedback_failures_total", reason="database") == 1
    assert store.attempt(partial(store.add, [row()]))
    assert len(opened.rows()) == 1
    store.close()


def test_upkeep_looks_at_what_is_there(opened: OpenStore) -> None:
    metrics = Metrics()
    opened.add(decision="NG", picture=b"\x89PNG")
    store = stored(opened, metrics)
    assert store.attempt(store.upkeep)
    assert metrics.value("mkd_reviews_waiting") == 1
    assert metrics.value("mkd_feedback_picture_bytes") == 4
    assert metrics.value("mkd_feedback_available") == 1
    store.close()
