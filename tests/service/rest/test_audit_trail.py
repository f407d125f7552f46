"""Every verdict that is given has its record, and no state of the trail changes a verdict."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from service.audit.chain import Chain
from service.audit.query import RecordFilter, search
from service.audit.verify import verify
from service.errors import NotReady
from service.run.assembly import audit_trail, observers
from service.run.settings import Settings

if TYPE_CHECKING:
    from tests.service.rest.conftest import FakeEngine, House, OpenHouse, Picture

Watched = Callable[..., "House"]


@pytest.fixture
def audited(open_house: OpenHouse, fake_engine: type[FakeEngine], tmp_path: Path) -> Watched:
    """Start a house that writes an audit trail to `tmp_path / "audit"`."""

    def start(**settings: Any) -> House:
        engine = fake_engine()
        trail = audit_trail(Settings(audit_folder=tmp_path / "audit", **settings), engine.metrics, "1.2.3")
        assert trail is not None
        return open_house(engine=engine, observers=(trail,))

    return start


def stopped(house: House) -> None:
    house.run(house.stack.aclose())


def records(folder: Path) -> list[Any]:
    return [dict(found.record.members) for found in search(folder / "audit", RecordFilter(), on_damage=print)]


def test_without_a_folder_there_is_no_trail(house: House) -> None:
    assert audit_trail(Settings(), house.engine.metrics, "1") is None
    assert observers(Settings(drift=False), house.engine.metrics) == ()


def test_a_folder_is_all_it_takes(house: House, tmp_path: Path) -> None:
    settings = Settings(audit_folder=tmp_path / "audit", drift=False)
    assert [one.name for one in observers(settings, house.engine.metrics)] == ["audit"]


def test_a_record_says_what_the_answer_said_and_whose_it_was(
    audited: Watched, picture: Picture, tmp_path: Path
) -> None:
    house = audited()
    image = picture(0.95)
    answer = house.score(image, path="/score?line=7&part_id=x1", headers={"X-Request-Id": "shift-1"}).json()
    stopped(house)
    (record,) = records(tmp_path)
    (entry,) = answer["results"]
    for name in ("product", "score", "p_value", "threshold", "threshold_origin", "review_threshold", "decision"):
        assert record[name] == entry[name]
    assert record["artifact"] == entry["artifact"]
    assert record["request_id"] == "shift-1"
    assert record["context"] == {"line": "7", "part_id": "x1"}
    assert (record["filename"], record["index"]) == ("0.png", 0)
    assert record["image_sha256"] == hashlib.sha256(image).hexdigest()
    assert record["image_bytes"] == len(image)
    assert "caller" not in record
    (report,) = verify(tmp_path / "audit")
    assert (report.breaks, report.warnings, report.verdicts) == ([], [], 1)


def test_each_image_of_a_request_has_a_record_and_an_unreadable_one_has_none(
    audited: Watched, picture: Picture, tmp_path: Path
) -> None:
    house = audited()
    house.score(picture(0.1), b"no image", picture(0.95), path="/localize")
    stopped(house)
    assert [(record["index"], record["decision"]) for record in records(tmp_path)] == [(0, "OK"), (2, "NG")]


@pytest.mark.parametrize(("images", "kept"), [("none", []), ("ng", ["NG"]), ("ng+review", ["REVIEW", "NG"])])
def test_images_are_kept_by_decision(
    audited: Watched, picture: Picture, tmp_path: Path, images: str, kept: list[str]
) -> None:
    house = audited(audit_images=images)
    for brightness in (0.1, 0.78, 0.95):
        house.score(picture(brightness))
    stopped(house)
    with_image = [record for record in records(tmp_path) if "image_file" in record]
    assert [record["decision"] for record in with_image] == kept
    for record in with_image:
        data = (tmp_path / "audit" / "chain-00" / record["image_file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == record["image_sha256"]


def test_a_disk_that_fails_for_good_changes_no_verdict(
    audited: Watched, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = audited()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Chain, "append", full)
    for _ in range(3):
        assert house.score(picture(0.95)).json()["results"][0]["decision"] == "NG"
    stopped(house)
    assert house.engine.metrics.value("mkd_audit_failures_total", reason="disk_full") >= 1
    assert house.engine.metrics.value("mkd_audit_records_total", outcome="dropped") == 3
    assert house.engine.metrics.value("mkd_observer_failures_total", observer="audit") == 0
    assert records(tmp_path) == []


def test_a_full_disk_at_the_start_keeps_no_service_from_starting(
    audited: Watched, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr(Chain, "append", full)
        house = audited()
        assert house.score(picture(0.95)).status_code == 200
    stopped(house)
    assert [record["decision"] for record in records(tmp_path)] == ["NG"]


def test_a_folder_that_can_never_be_written_to_stops_the_start(audited: Watched, tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("a file")
    with pytest.raises(NotReady, match="audit_folder"):
        audited()


def test_bounds_on_the_disk_are_shared_out_among_processes(house: House, tmp_path: Path) -> None:
    settings = Settings(audit_folder=tmp_path, processes=4, audit_keep_mb=100, audit_images_mb=40)
    trail = audit_trail(settings, house.engine.metrics, "1")
    assert trail is not None
    written = trail._writer._settings
    assert (written.limits.keep_bytes, written.image_bytes) == (25 << 20, 10 << 20)
    assert os.listdir(tmp_path) == []  # nothing happens before the start
