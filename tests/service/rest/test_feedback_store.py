"""Every verdict that is given is stored, and no state of the store slows or changes one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection

from service.feedback.database import FILE, Database, DatabaseFaultError
from service.feedback.observer import FeedbackObserver
from service.feedback.pictures import PictureFolder
from service.feedback.settings import FeedbackSettings
from service.run.assembly import feedback_settings, observers
from service.run.settings import Settings

if TYPE_CHECKING:
    from tests.service.rest.conftest import FakeEngine, House, OpenHouse, Picture

Stored = Callable[..., "House"]


@pytest.fixture
def stored(open_house: OpenHouse, fake_engine: type[FakeEngine], tmp_path: Path) -> Stored:
    """Start a house that stores verdicts in `tmp_path / "feedback"`."""

    def start(folder: Path = tmp_path / "feedback", **changes: Any) -> House:
        engine = fake_engine()
        return open_house(
            engine=engine, observers=(FeedbackObserver(FeedbackSettings(folder=folder, **changes), engine.metrics),)
        )

    return start


def rows(house: House, count: int, query: str = "") -> list[dict[str, Any]]:
    """The verdicts, oldest first, once there are so many."""
    while True:
        answer = house.get(f"/verdicts{query}")
        if answer.status_code == 200 and len(found := answer.json()["verdicts"]) >= count:
            assert len(found) == count
            return list(reversed(found))
        time.sleep(0.01)


def metric(house: House, name: str, **labels: str) -> float:
    return house.engine.metrics.value(name, **labels)


def test_a_row_says_what_the_answer_said_and_whose_it_was(stored: Stored, picture: Picture) -> None:
    house = stored(spot_check_share=0.0)
    before = time.time()
    answer = house.score(picture(0.95), path="/score?line=7&part_id=x1", headers={"X-Request-Id": "shift-1"}).json()
    (row,) = rows(house, 1)
    (entry,) = answer["results"]
    for name in ("product", "score", "p_value", "threshold", "review_threshold", "decision", "filename"):
        assert row[name] == entry[name]
    assert {name: row[name] for name in ("version", "method", "hash")} == entry["artifact"]
    assert (row["width"], row["height"]) == (entry["image"]["width"], entry["image"]["height"])
    assert (row["request_id"], row["line"], row["station"], row["part_id"]) == ("shift-1", "7", None, "x1")
    assert (row["spot_check"], row["spot_check_share"], row["reviews"], row["caller"]) == (False, 0.0, [], None)
    assert before - 0.001 <= datetime.fromisoformat(row["at"]).timestamp() <= time.time()


def test_an_image_without_a_verdict_has_no_row(stored: Stored, picture: Picture) -> None:
    house = stored()
    house.score(picture(0.1), b"no image", picture(0.95), path="/localize")
    assert [row["decision"] for row in rows(house, 2)] == ["OK", "NG"]


@pytest.mark.parametrize(
    ("pictures", "share", "kept"),
    [
        ("review", 0.0, ["REVIEW", "NG"]),
        ("review", 1.0, ["OK", "REVIEW", "NG"]),
        ("all", 0.0, ["OK", "REVIEW", "NG"]),
        ("none", 1.0, []),
    ],
)
def test_pictures_are_kept_by_decision_and_of_spot_checks(
    stored: Stored, picture: Picture, pictures: str, share: float, kept: list[str]
) -> None:
    house = stored(pictures=pictures, spot_check_share=share)
    images = {"OK": picture(0.1), "REVIEW": picture(0.78), "NG": picture(0.95, form="JPEG")}
    for image in images.values():
        house.score(image)
    found = rows(house, 3)
    assert [row["decision"] for row in found if row["picture"]] == kept
    for row in found:
        answer = house.get(f"/verdicts/{row['id']}/picture")
        if row["picture"]:
            assert answer.content == images[row["decision"]]
            assert answer.headers["content-type"] == ("image/jpeg" if row["decision"] == "NG" else "image/png")
        else:
            assert (answer.status_code, answer.json()["code"]) == (404, "picture_not_kept")


def test_a_database_that_fails_changes_no_verdict_and_gets_all_of_them_once_it_can(
    stored: Stored, picture: Picture, monkeypatch: pytest.MonkeyPatch, log_lines: list[dict[str, Any]]
) -> None:
    monkeypatch.setattr("service.feedback.writer.RETRY_S", 0.01)
    house = stored()
    with monkeypatch.context() as patch:
        patch.setattr(Database, "__init__", _refuse)
        patch.setattr(Database, "writing", _refuse)
        for _ in range(3):
            assert house.score(picture(0.95)).json()["results"][0]["decision"] == "NG"
        while metric(house, "mkd_feedback_failures_total", reason="disk_full") < 3:
            time.sleep(0.01)
        answer = house.get("/verdicts")
        assert (answer.status_code, answer.json()["code"]) == (503, "feedback_unavailable")
        assert "the disk is full" in answer.json()["detail"]
        assert metric(house, "mkd_feedback_available") == 0
    assert [row["decision"] for row in rows(house, 3)] == ["NG"] * 3
    assert metric(house, "mkd_feedback_verdicts_total", outcome="stored") == 3
    assert metric(house, "mkd_observer_failures_total", observer="feedback") == 0
    events = [line["event"] for line in log_lines]
    assert events.count("verdicts are not stored; they are given all the same") == 1
    assert events.count("verdicts are stored again") == 1


def _refuse(*_: object) -> None:
    raise DatabaseFaultError("the disk is full", is_full=True)


def test_a_database_that_hangs_slows_no_verdict(
    stored: Stored, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = stored()
    goes_on, writing = threading.Event(), Database.writing

    def hang(database: Database) -> AbstractContextManager[Connection]:
        assert goes_on.wait(60)
        return writing(database)

    monkeypatch.setattr(Database, "writing", hang)
    answers = [house.score(picture(0.95)).status_code for _ in range(5)]  # and only then it goes on
    assert answers == [200] * 5
    assert house.get("/verdicts").json()["verdicts"] == []
    goes_on.set()
    assert len(rows(house, 5)) == 5


def test_what_finds_no_room_in_the_queue_is_dropped_and_counted(
    stored: Stored, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.feedback.writer.RETRY_S", 0.01)
    house = stored(queue_bytes=1)
    with monkeypatch.context() as patch:
        patch.setattr(Database, "__init__", _refuse)
        patch.setattr(Database, "writing", _refuse)
        for _ in range(3):
            assert house.score(picture(0.95)).status_code == 200
        assert metric(house, "mkd_feedback_verdicts_total", outcome="dropped") == 2
    assert len(rows(house, 1)) == 1


def test_what_cannot_be_stored_by_the_stop_is_given_up(
    stored: Stored, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = stored()
    monkeypatch.setattr(Database, "__init__", _refuse)
    monkeypatch.setattr(Database, "writing", _refuse)
    house.score(picture(0.95))
    house.run(house.stack.aclose())
    assert metric(house, "mkd_feedback_verdicts_total", outcome="dropped") == 1


def test_services_that_share_a_store_agree(stored: Stored, picture: Picture) -> None:
    one, other = stored(), stored()
    for house in (one, other, one):
        house.score(picture(0.95))
    found = rows(one, 3)
    assert found == rows(other, 3)
    assert len({row["id"] for row in found}) == 3
    assert other.post(f"/verdicts/{found[0]['id']}/reviews", json={"label": "good"}).status_code == 201
    again = one.post(f"/verdicts/{found[0]['id']}/reviews", json={"label": "good"})
    assert again.json()["code"] == "already_reviewed"
    assert one.get("/reviews").json() == other.get("/reviews").json()
    assert one.get("/reviews").json()["waiting"] == 2
    picture_there = other.get(f"/verdicts/{found[0]['id']}/picture")
    assert picture_there.content == picture(0.95)


def test_what_waits_at_the_stop_is_stored(stored: Stored, picture: Picture) -> None:
    house = stored()
    for _ in range(5):
        house.score(picture(0.95))
    house.run(house.stack.aclose())
    assert len(rows(stored(), 5)) == 5


def test_a_picture_that_cannot_be_written_costs_the_picture_and_not_the_verdict(
    stored: Stored, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> str:
        raise OSError(28, "No space left on device", "pictures")

    monkeypatch.setattr(PictureFolder, "keep", refuse)
    house = stored()
    house.score(picture(0.95))
    assert [row["picture"] for row in rows(house, 1)] == [False]
    assert house.get("/reviews").json() == {"verdicts": [], "waiting": 0}
    assert metric(house, "mkd_feedback_failures_total", reason="picture") == 1


def test_a_folder_that_cannot_be_made_keeps_no_service_from_starting(
    stored: Stored, picture: Picture, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    house = stored(folder=tmp_path / "file" / "feedback")
    assert house.score(picture(0.95)).status_code == 200
    assert "Not a directory" in house.get("/verdicts").json()["detail"]


def test_a_database_that_was_taken_away_is_begun_anew(stored: Stored, picture: Picture, tmp_path: Path) -> None:
    house = stored()
    house.score(picture(0.95))
    assert len(rows(house, 1)) == 1
    for file in (tmp_path / "feedback").glob(f"{FILE}*"):
        file.unlink()
    house.score(picture(0.1))
    while not (tmp_path / "feedback" / FILE).exists():
        time.sleep(0.01)
    assert [row["decision"] for row in rows(house, 1)] == ["OK"]


def test_a_file_name_that_no_database_takes_is_stored_readably(stored: Stored, picture: Picture) -> None:
    house = stored()
    files = [("image", ("a\x00b.png", picture(0.95)))]
    assert house.post("/score", files=files).status_code == 200
    (row,) = rows(house, 1)
    assert "\x00" not in str(row["filename"])


def test_a_picture_that_was_thinned_away_is_said_to_be_gone(stored: Stored, picture: Picture, tmp_path: Path) -> None:
    house = stored(keep_bytes=1)
    house.score(picture(0.95))
    (row,) = rows(house, 1)
    while house.get(f"/verdicts/{row['id']}/picture").status_code == 200:
        house.score(picture(0.1))
    answer = house.get(f"/verdicts/{row['id']}/picture")
    assert (answer.status_code, answer.json()["code"]) == (410, "picture_gone")
    assert house.post(f"/verdicts/{row['id']}/reviews", json={"label": "good"}).status_code == 201


def test_the_settings_choose_the_place(tmp_path: Path, house: House) -> None:
    assert feedback_settings(Settings()) is None  # as the tests' environment says
    beside = feedback_settings(Settings(feedback="auto", artifacts=tmp_path / "artifacts"))
    assert beside is not None
    assert (beside.folder, beside.url) == (tmp_path / "artifacts.feedback", None)
    server = feedback_settings(Settings(feedback="postgresql://db/mkd", feedback_folder=tmp_path / "pictures"))
    assert server is not None
    assert (server.folder, server.url) == (tmp_path / "pictures", "postgresql+psycopg://db/mkd")
    names = [one.name for one in observers(Settings(feedback=str(tmp_path / "f"), drift=False), house.engine.metrics)]
    assert names == ["feedback"]
    assert list(tmp_path.iterdir()) == []  # nothing happens before the start


@pytest.mark.parametrize("value", ["mysql://db/mkd", " ", "sqlite:///x"])
def test_a_place_of_another_kind_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="postgresql://"):
        Settings(feedback=value)
