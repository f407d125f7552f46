"""Stored verdicts and reviews over HTTP: who may do what, what is refused and how, and what the audit chain keeps."""

from __future__ import annotations

import base64
import io
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import httpx
import numpy as np
import pytest

from service.audit.query import RecordFilter, search
from service.audit.verify import verify
from service.auth import new_key
from service.feedback.observer import FeedbackObserver
from service.feedback.settings import FeedbackSettings
from service.run.assembly import audit_trail
from service.run.settings import Settings

if TYPE_CHECKING:
    from tests.service.rest.conftest import FakeEngine, FakeRegistry, FakeVersion, House, OpenHouse, Picture

GETS = (
    *("/verdicts", "/verdicts/1", "/verdicts/1/picture", "/verdicts/1/localization", "/reviews", "/reviews/summary"),
    *("/statistics", "/export", "/events"),
)


@pytest.fixture
def kept(
    open_house: OpenHouse,
    fake_engine: type[FakeEngine],
    fake_registry: type[FakeRegistry],
    fake_version: type[FakeVersion],
    picture: Picture,
    tmp_path: Path,
) -> House:
    """A house with verdicts OK, REVIEW and NG in its store (ids 1 to 3), an audit trail, and no keys."""
    return house_with(open_house, fake_engine(), fake_registry(fake_version()), picture, tmp_path)


def house_with(
    open_house: OpenHouse,
    engine: FakeEngine,
    registry: FakeRegistry,
    picture: Picture,
    tmp_path: Path,
    headers: dict[str, str] | None = None,
    **settings: Any,
) -> House:
    trail = audit_trail(Settings(audit_folder=tmp_path / "audit"), engine.metrics, "1")
    observer = FeedbackObserver(FeedbackSettings(folder=tmp_path / "feedback"), engine.metrics)
    assert trail is not None
    house = open_house(engine=engine, registry=registry, observers=(trail, observer), **settings)
    for brightness in (0.1, 0.78, 0.95):
        assert house.score(picture(brightness), path="/score?station=left&line=7", headers=headers or {}).is_success
    while engine.metrics.value("mkd_feedback_verdicts_total", outcome="stored") < 3:
        time.sleep(0.01)
    return house


def delete(house: House, path: str, **options: Any) -> httpx.Response:
    answer: httpx.Response = house.run(house.client.delete(path, **options))
    return answer


def test_verdicts_come_newest_first_in_pages(kept: House) -> None:
    first = kept.get("/verdicts?limit=2").json()
    assert ([row["id"] for row in first["verdicts"]], first["next"]) == ([3, 2], 2)
    rest = kept.get(f"/verdicts?limit=2&before={first['next']}").json()
    assert ([row["id"] for row in rest["verdicts"]], rest["next"]) == ([1], None)


FOUND = {
    "decision=NG&decision=REVIEW": [3, 2],
    "product=screw&version=1&station=left&line=7": [3, 2, 1],
    "product=nut": [],
    "station=right": [],
    "since=2020-01-01T00:00:00Z": [3, 2, 1],
    "until=2020-01-01": [],
    "reviewed=yes": [],
    "reviewed=no&decision=OK": [1],
    "spot_check=true": [],
}


def test_verdicts_are_found_by_what_is_asked_for(kept: House) -> None:
    found = {query: [row["id"] for row in kept.get(f"/verdicts?{query}").json()["verdicts"]] for query in FOUND}
    assert found == FOUND


UNDOCUMENTED = (
    *("/verdicts?limit=0", "/verdicts?limit=501", "/verdicts?colour=red", "/verdicts?decision=MAYBE"),
    *("/verdicts?since=yesterday", f"/verdicts/{2**63}", "/verdicts/0", "/verdicts/one", "/verdicts?before=0"),
    *("/statistics?buckets=0", "/export?form=zip", "/reviews?limit=x", "/verdicts?station=%00"),
)


def test_what_is_not_as_documented_is_refused(kept: House) -> None:
    answers = {path: kept.get(path) for path in UNDOCUMENTED}
    codes = {path: (answer.status_code, answer.json()["code"]) for path, answer in answers.items()}
    assert codes == dict.fromkeys(UNDOCUMENTED, (422, "invalid_parameter"))


def test_the_queue_is_judged_from_its_oldest_end_and_undone(kept: House) -> None:
    queue = kept.get("/reviews").json()
    assert ([row["id"] for row in queue["verdicts"]], queue["waiting"]) == ([2, 3], 2)
    made = kept.post("/verdicts/2/reviews", json={"label": "defect", "class": "Kratzer tief", "note": "am Rand"})
    assert made.status_code == 201
    review = made.json()
    assert {name: review[name] for name in ("verdict_id", "label", "class", "note", "by", "withdrawn_at")} == {
        "verdict_id": 2,
        "label": "defect",
        "class": "Kratzer tief",
        "note": "am Rand",
        "by": "anonymous",
        "withdrawn_at": None,
    }
    assert kept.get("/verdicts/2").json()["reviews"] == [review]
    assert kept.get("/verdicts?reviewed=yes").json()["verdicts"] == [kept.get("/verdicts/2").json()]
    assert kept.get("/reviews").json()["waiting"] == 1
    again = kept.post("/verdicts/2/reviews", json={"label": "good"})
    assert (again.status_code, again.json()["code"]) == (409, "already_reviewed")
    withdrawn = delete(kept, f"/reviews/{review['id']}")
    assert (withdrawn.status_code, withdrawn.json()["label"]) == (200, "defect")
    assert withdrawn.json()["withdrawn_at"] >= review["at"]
    assert kept.get("/reviews").json()["waiting"] == 2


NO_REVIEWS: tuple[dict[str, str], ...] = (
    {"label": "perfect"},
    {},
    {"label": "good", "class": "dent"},
    {"label": "defect", "class": "../../etc"},
    {"label": "defect", "class": "Good"},
    {"label": "defect", "class": ".."},
    {"label": "defect", "class": " dent"},
    {"label": "good", "note": "x" * 1001},
    {"label": "good", "note": "a\0b"},
    {"label": "good", "by": "somebody else"},
)


def test_a_review_that_is_none_is_refused_and_changes_nothing(kept: House) -> None:
    for body in NO_REVIEWS:
        answer = kept.post("/verdicts/3/reviews", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter"), body
    answer = kept.post("/verdicts/3/reviews", json={"label": "good", "note": "x" * 20_000})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert kept.get("/verdicts/3").json()["reviews"] == []


def test_what_is_not_there_is_404(kept: House) -> None:
    answers = [kept.get("/verdicts/77"), kept.get("/verdicts/77/picture"), delete(kept, "/reviews/77")]
    answers.append(kept.post("/verdicts/77/reviews", json={"label": "good"}))
    codes = ["verdict_not_found", "verdict_not_found", "review_not_found", "verdict_not_found"]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(404, code) for code in codes]


def test_a_picture_of_any_format_is_shown_as_png_where_that_is_asked_for(kept: House, picture: Picture) -> None:
    tiff = picture(0.95, mode="I;16", form="TIFF")
    kept.score(tiff)
    while (answer := kept.get("/verdicts/4/picture")).status_code == 404:
        time.sleep(0.01)
    assert (answer.content, answer.headers["content-type"]) == (tiff, "image/tiff")
    shown = kept.get("/verdicts/4/picture?form=png")
    pixels = cv2.imdecode(np.frombuffer(shown.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    assert (shown.headers["content-type"], str(pixels.dtype), pixels.shape) == ("image/png", "uint8", (24, 40, 3))
    assert pixels.min() == 255  # its brightest value, and it has no other
    assert kept.get("/verdicts/4/picture?form=shown").content == shown.content
    as_it_is = kept.get("/verdicts/3/picture").content
    assert kept.get("/verdicts/3/picture?form=shown").content == as_it_is
    assert kept.get("/verdicts/4/picture?form=gif").status_code == 422


def test_localization_shows_where_and_is_no_verdict(kept: House) -> None:
    judged = kept.get("/verdicts/3/localization")
    assert judged.status_code == 200
    assert set(judged.json()) == {"map", "map_scale", "regions"}
    map_ = cv2.imdecode(np.frombuffer(base64.b64decode(judged.json()["map"]), np.uint8), cv2.IMREAD_UNCHANGED)
    assert map_ is not None
    assert map_.shape == (24, 40)
    assert kept.engine.metrics.value("mkd_images_total", outcome="ok") == 3
    kept.score(b"")  # the queue has been looked at since
    assert len(kept.get("/verdicts").json()["verdicts"]) == 3
    assert kept.engine.admission.images == 0


def test_localization_by_a_version_that_has_gone_is_refused(kept: House, fake_version: type[FakeVersion]) -> None:
    kept.registry.versions["screw"] = fake_version(hash="cd" * 32)
    answer = kept.get("/verdicts/3/localization")
    assert (answer.status_code, answer.json()["code"]) == (409, "version_gone")
    assert kept.get("/verdicts/1/localization").json()["code"] == "picture_not_kept"


def test_statistics_count_the_shift(kept: House) -> None:
    found = kept.get("/statistics?product=screw&station=left&buckets=4").json()
    assert len(found["decisions"]) == 4
    last = found["decisions"][-1]
    assert {name: last[name] for name in ("OK", "REVIEW", "NG")} == {"OK": 1, "REVIEW": 1, "NG": 1}
    assert last["from"].endswith("Z")
    assert (sum(found["p_values"]), len(found["p_values"]), found["waiting"]) == (3, 20, 2)


def test_the_summary_says_what_the_judgements_say(kept: House) -> None:
    kept.post("/verdicts/3/reviews", json={"label": "good"})
    kept.post("/verdicts/2/reviews", json={"label": "defect", "class": "dent"})
    found = kept.get("/reviews/summary?product=screw").json()
    assert found["good"] == {
        "parts": 1,
        "OK": 0,
        "REVIEW": 0,
        "NG": 1,
        "spot_checks": {"parts": 0, "OK": 0, "REVIEW": 0, "NG": 0},
    }
    (dent,) = found["defects"]
    assert (dent["class"], dent["REVIEW"], dent["misses_estimated"], dent["detection_rate"]) == ("dent", 1, 0.0, 1.0)
    assert (found["unsure"], found["disagreements"]) == (0, 0)


def test_what_was_judged_is_taken_along(kept: House, picture: Picture) -> None:
    kept.post("/verdicts/3/reviews", json={"label": "defect", "class": "dent"})
    answer = kept.get("/export?product=screw")
    assert answer.headers["content-disposition"] == 'attachment; filename="reviewed.tar"'
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        assert tar.extractfile("screw/test/dent/3.png").read() == picture(0.95)  # type: ignore[union-attr]
    assert kept.get("/export?form=parquet").content.startswith(b"PAR1")


def test_without_pyarrow_a_parquet_file_is_refused_in_words(kept: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    answer = kept.get("/export?form=parquet")
    assert (answer.status_code, answer.json()["code"]) == (501, "form_not_available")
    assert "pip install" in answer.json()["detail"]


def test_each_judgement_and_withdrawal_is_a_record_of_the_audit_chain(kept: House, tmp_path: Path) -> None:
    review = kept.post("/verdicts/3/reviews", json={"label": "defect", "class": "dent"}).json()
    delete(kept, f"/reviews/{review['id']}")
    kept.run(kept.stack.aclose())
    asked = RecordFilter(product="screw", kinds=frozenset({"review"}))
    made, withdrawn = (found.record.members for found in search(tmp_path / "audit", asked, on_damage=print))
    assert made["context"] == {"line": "7", "station": "left"}
    told = {name: made[name] for name in ("action", "label", "class", "caller", "verdict", "decision", "judged")}
    assert told == {
        "action": "judged",
        "label": "defect",
        "class": "dent",
        "caller": "anonymous",
        "verdict": 3,
        "decision": "NG",
        "judged": "defect",
    }
    assert (withdrawn["action"], withdrawn["review"], withdrawn["judged"]) == ("withdrawn", review["id"], "")
    (report,) = verify(tmp_path / "audit")
    assert (report.breaks, report.verdicts, report.reviews) == ([], 3, 2)


def test_without_a_store_every_route_says_so(house: House) -> None:
    answers = [house.get(path) for path in GETS]
    answers += [house.post("/verdicts/1/reviews", json={"label": "good"}), delete(house, "/reviews/1")]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(503, "feedback_off")}


def test_without_keys_a_web_page_of_others_sees_and_changes_nothing(kept: House) -> None:
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        for path in GETS:
            assert kept.get(path, headers=headers).json()["code"] == "foreign_request"
        answer = kept.post("/verdicts/3/reviews", json={"label": "good"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "foreign_request")
        assert delete(kept, "/reviews/1", headers=headers).json()["code"] == "foreign_request"
    assert kept.get("/verdicts/3").json()["reviews"] == []


def test_keys_may_do_what_their_scopes_say(
    open_house: OpenHouse,
    fake_engine: type[FakeEngine],
    fake_registry: type[FakeRegistry],
    fake_version: type[FakeVersion],
    picture: Picture,
    tmp_path: Path,
) -> None:
    secrets = {name: new_key(name, [name]) for name in ("infer", "view", "review", "admin")}
    lines = " ".join(key.line() for _, key in secrets.values())
    key = {name: {"X-API-Key": secret} for name, (secret, _) in secrets.items()}
    house = house_with(
        open_house, fake_engine(), fake_registry(fake_version()), picture, tmp_path, key["infer"], api_keys=lines
    )
    assert house.get("/verdicts").status_code == 401
    assert house.get("/verdicts", headers=key["infer"]).status_code == 403
    for who in ("view", "review", "admin"):
        assert house.get("/verdicts", headers=key[who]).status_code == 200
    good = {"label": "good"}
    assert house.post("/verdicts/3/reviews", json=good, headers=key["view"]).json()["code"] == "forbidden"
    review = house.post("/verdicts/3/reviews", json=good, headers=key["review"]).json()
    assert review["by"] == "review"
    other = house.post("/verdicts/3/reviews", json={"label": "defect"}, headers=key["admin"]).json()
    assert delete(house, f"/reviews/{other['id']}", headers=key["review"]).json()["code"] == "forbidden"
    assert delete(house, f"/reviews/{review['id']}", headers=key["admin"]).json()["withdrawn_at"] is not None
    assert [row["caller"] for row in house.get("/verdicts", headers=key["view"]).json()["verdicts"]] == ["infer"] * 3
