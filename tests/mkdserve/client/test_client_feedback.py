"""Stored verdicts, reviews and events through the client, with the service's own store behind them."""

from __future__ import annotations

import itertools
import json
import tarfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from mkdserve.client import AnswerInvalid, Client, Conflict, Forbidden, Gone, NotFound, Retries, Unavailable
from mkdserve.client.feedback import StoredVerdict
from service.auth import new_key
from service.feedback.observer import FeedbackObserver
from service.feedback.settings import FeedbackSettings
from tests.mkdserve.client.conftest import Answer, Script, problem
from tests.service.rest.conftest import FakeEngine, Picture, Serve

Open = Callable[..., Client]


@pytest.fixture
def open_client(serve: Serve, tmp_path: Path) -> Iterator[Open]:
    """A client of a service with a store of its own; settings as keywords, and the client's key."""
    made: list[Client] = []

    def start(key: str | None = None, **settings: object) -> Client:
        engine = FakeEngine()
        observer = FeedbackObserver(FeedbackSettings(folder=tmp_path / "feedback"), engine.metrics)
        port = serve(engine, (observer,), **settings)
        made.append(Client(f"http://127.0.0.1:{port}", key=key, deadline_s=60))
        return made[-1]

    yield start
    for client in made:
        client.close()


def stored(client: Client, count: int) -> list[StoredVerdict]:
    """The newest verdicts, once there are so many: the store writes behind the answers."""
    for _ in itertools.count():
        found = client.verdicts(product="screw").verdicts
        if len(found) >= count:
            return list(found)
    raise AssertionError


def test_what_was_judged_is_found_filtered_and_reviewed(open_client: Open, picture: Picture) -> None:
    client = open_client()
    for share in (0.2, 0.78, 0.95):
        client.score(picture(share), product="screw", part_id=f"p{share}", station="7")
    newest = stored(client, 3)
    assert [row.decision for row in newest] == ["NG", "REVIEW", "OK"]
    assert [row.part_id for row in client.verdicts(decision=("NG", "OK"), station="7").verdicts] == ["p0.95", "p0.2"]
    assert client.verdicts(since=datetime(2999, 1, 1, tzinfo=UTC)).verdicts == ()
    page = client.verdicts(limit=2)
    assert [row.id for row in client.verdicts(limit=2, before=page.next).verdicts] == [newest[2].id]

    queue = client.review_queue(product="screw")
    assert (queue.waiting, [row.part_id for row in queue.verdicts]) == (2, ["p0.78", "p0.95"])
    assert client.picture(newest[1].id) == picture(0.78)
    said = client.review(newest[1].id, "defect", defect_class="Kratzer", note="am Gewinde")
    assert (said.label, said.defect_class, said.note, said.withdrawn_at) == ("defect", "Kratzer", "am Gewinde", None)
    with pytest.raises(Conflict, match="already_reviewed"):
        client.review(newest[1].id, "good")
    assert client.withdraw_review(said.id).withdrawn_at is not None
    assert client.verdict(newest[1].id).reviews[0].id == said.id
    with pytest.raises(NotFound, match="verdict_not_found"):
        client.verdict(10**6)


def test_counts_and_maps_of_stored_parts_come_as_objects(open_client: Open, picture: Picture, tmp_path: Path) -> None:
    client = open_client()
    client.score(picture(0.95), product="screw")
    (row,) = stored(client, 1)
    client.review(row.id, "defect", defect_class="Kratzer")
    summary = client.review_summary(product="screw")
    assert [(one.name, one.parts, one.ng, one.detection_rate) for one in summary.defects] == [("Kratzer", 1, 1, 1.0)]
    counts = client.statistics(product="screw", buckets=4)
    assert (sum(each.ng for each in counts.decisions), len(counts.p_values)) == (1, 20)
    found = client.localization(row.id)
    assert (found.map.shape, str(found.map.dtype)) == ((24, 40), "uint8")
    assert found.map_scale.values(found.map).max() == pytest.approx(0.95, abs=0.01)
    file = client.export(tmp_path / "judged.tar", product="screw")
    with tarfile.open(file) as tar:
        assert [name for name in tar.getnames() if "Kratzer" in name and name.endswith(".png")]


def test_events_come_as_they_happen_and_go_on_behind_the_last_one(open_client: Open, picture: Picture) -> None:
    client = open_client()
    first = client.events(product="screw")
    state = next(first)
    assert (state.kind, state.row) == ("state", None)
    assert state.data is not None
    assert state.data["ready"] is True
    client.score(picture(0.95), product="screw", part_id="one")
    seen = next(event for event in first if event.kind == "verdict")
    assert seen.row is not None
    assert (seen.row.part_id, seen.id) == ("one", seen.row.id)
    first.close()  # type: ignore[attr-defined]
    client.score(picture(0.95), product="screw", part_id="two")
    stored(client, 2)
    again = next(event for event in client.events(after=seen.id) if event.kind == "verdict")
    assert again.row is not None
    assert again.row.part_id == "two"
    client.review(again.row.id, "good")


def test_a_key_without_the_scope_is_told_so(open_client: Open) -> None:
    secret, key = new_key("line", ["infer"])
    client = open_client(secret, api_keys=key.line())
    with pytest.raises(Forbidden):
        client.verdicts()
    with pytest.raises(Forbidden):
        next(iter(client.events()))


def test_a_service_without_a_store_says_so_at_once(serve: Serve) -> None:
    with Client(f"http://127.0.0.1:{serve()}") as client, pytest.raises(Unavailable, match="feedback_off"):
        client.verdicts()


def test_a_picture_that_was_thinned_away_is_gone(scripted: Script) -> None:
    with Client(transport=scripted(problem(410, "picture_gone"))) as client, pytest.raises(Gone, match="picture_gone"):
        client.picture(7)


def test_a_time_without_its_zone_is_refused_before_it_is_sent() -> None:
    with Client() as client, pytest.raises(ValueError, match="time zone"):
        client.verdicts(since=datetime(2026, 11, 28))


def test_an_export_appears_when_it_is_whole(scripted: Script, tmp_path: Path) -> None:
    file = tmp_path / "out" / "judged.tar"
    with Client(transport=scripted(httpx.Response(200, content=b"tar" * 10**5))) as client:
        assert client.export(file, product="screw") == file
    assert file.read_bytes() == b"tar" * 10**5
    with Client(transport=scripted(problem(403, "forbidden"))) as client, pytest.raises(Forbidden):
        client.export(tmp_path / "no.tar")
    assert [each.name for each in file.parent.iterdir()] == ["judged.tar"]
    assert not (tmp_path / "no.tar").exists()


def stream(*events: str) -> httpx.Response:
    return httpx.Response(200, content="".join(events), headers={"Content-Type": "text/event-stream"})


STATE = 'event: state\ndata: {"ready": true}\n\n'


def test_events_are_read_by_the_rules_of_their_format(
    scripted: Script, asked: list[httpx.Request], answer_row: Answer
) -> None:
    row = f"event: verdict\r\nid: 7\r\ndata: {json.dumps(answer_row)}\r\n\r\n"
    parts = (
        ": a comment\n\n",
        "event: other\ndata: {}\n\n",
        "event: state\n\n",
        row,
        "event: gap\ndata:{\n",
        "data:}\n\n",
    )
    transport = scripted(stream(*parts), stream(STATE), problem(401, "unauthorized"))
    retries = Retries(first_s=0.001)
    with Client(transport=transport, retries=retries) as client:
        found = list(itertools.islice(client.events(), 3))
    assert [(event.kind, event.id, event.data) for event in found] == [
        ("verdict", 7, None),
        ("gap", None, {}),
        ("state", None, {"ready": True}),
    ]
    assert "last-event-id" not in asked[0].headers
    assert asked[1].headers["last-event-id"] == "7"


def test_an_event_that_cannot_be_read_is_an_error_and_no_verdict(scripted: Script) -> None:
    transport = scripted(stream('event: verdict\nid: 7\ndata: {"decision": "OK"}\n\n'))
    with Client(transport=transport) as client, pytest.raises(AnswerInvalid):
        next(iter(client.events()))


@pytest.fixture
def answer_row(verdict: Answer) -> Answer:
    """A row of the store."""
    kept = {name: verdict[name] for name in ("product", "score", "p_value", "threshold", "decision", "filename")}
    null = dict.fromkeys(("caller", "decided_by", "line", "station", "part_id", "review_threshold"))
    rest = {"id": 7, "at": "2026-11-28T09:00:00Z", "request_id": "r", "version": "1", "method": "mkd", "hash": "ab"}
    drawn = {"width": 4, "height": 3, "spot_check": False, "spot_check_share": 0.02, "picture": True, "reviews": []}
    return {**kept, **null, **rest, **drawn}
