"""Whatever comes back: it is OK only where a real verdict says so and nothing in it says otherwise."""

from __future__ import annotations

import copy
import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mkdserve.client import AnswerInvalid, Client, ClientError, Reply, Retries, Verdict
from mkdserve.client.verdicts import Wire, reply
from tests.mkdserve.client.conftest import Answer, Script

JSON = {"Content-Type": "application/json"}


def score(transport: httpx.MockTransport, **options: Any) -> Reply[Verdict]:
    with Client(transport=transport, retries=Retries(attempts=1)) as client:
        return client.score(b"picture", **options)


def answered(body: object, status: int = 200, headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.Response(status, content=json.dumps(body), headers=JSON if headers is None else headers)


def test_a_sound_answer_is_ok(scripted: Script, score_answer: Answer) -> None:
    found = score(scripted(answered(score_answer)), product="screw")
    assert found.all_ok
    assert found[0].is_ok
    assert found.request_id == "r-1"


def test_members_of_a_newer_service_are_passed_over(scripted: Script, score_answer: Answer) -> None:
    score_answer["results"][0]["of_tomorrow"] = 1
    assert score(scripted(answered(score_answer))).all_ok


@pytest.mark.parametrize(
    "change",
    [
        {"decision": None},
        {"decision": "ok"},
        {"decision": "PASS"},
        {"decision": True},
        {"score": None},
        {"score": "0.1"},
        {"score": 0.77},  # REVIEW by the thresholds, and OK in words
        {"score": 0.9},
        {"index": 1},
        {"product": None},
        {"error": {"code": "image_unreadable", "title": "t", "detail": "d"}},
    ],
)
def test_a_verdict_that_is_not_as_documented_is_no_verdict(
    scripted: Script, score_answer: Answer, change: Answer
) -> None:
    score_answer["results"][0] |= change
    with pytest.raises(AnswerInvalid):
        score(scripted(answered(score_answer)))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_score_that_is_no_finite_number_is_no_verdict(scripted: Script, score_answer: Answer, number: str) -> None:
    text = json.dumps(score_answer).replace('"score": 0.2', f'"score": {number}')
    assert number in text
    with pytest.raises(AnswerInvalid):
        score(scripted(httpx.Response(200, content=text, headers=JSON)))


def test_fewer_or_more_results_than_images_are_no_verdict(scripted: Script, score_answer: Answer) -> None:
    entry = score_answer["results"][0]
    for results in ([], [entry, entry], [entry, {**entry, "index": 1}]):
        with pytest.raises(AnswerInvalid):
            score(scripted(answered(score_answer | {"results": results})))


def test_the_verdict_on_another_product_is_no_verdict(scripted: Script, score_answer: Answer) -> None:
    with pytest.raises(AnswerInvalid, match="asked for 'nut'"):
        score(scripted(answered(score_answer)), product="nut")


@pytest.mark.parametrize("status", [201, 202, 204, 206, 301, 302, 304])
def test_another_success_or_a_redirect_is_no_verdict(scripted: Script, score_answer: Answer, status: int) -> None:
    with pytest.raises(AnswerInvalid):
        score(scripted(answered(score_answer, status, JSON | {"Location": "/login"})))


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, content=b"", headers=JSON),
        httpx.Response(200, content=b"OK", headers=JSON),
        httpx.Response(200, content=b"<html>OK</html>", headers={"Content-Type": "text/html"}),
        httpx.Response(200, content=b'{"results": ["OK"], "request_id": "r"}', headers=JSON),
        httpx.Response(200, content=b"\x1f\x8b", headers=JSON | {"Content-Encoding": "gzip"}),
    ],
)
def test_an_answer_that_is_no_reply_raises(scripted: Script, answer: httpx.Response) -> None:
    with pytest.raises(AnswerInvalid):
        score(scripted(answer))


def test_a_sound_answer_of_another_type_is_no_verdict(scripted: Script, score_answer: Answer) -> None:
    with pytest.raises(AnswerInvalid, match="text/plain"):
        score(scripted(answered(score_answer, headers={"Content-Type": "text/plain"})))


def test_neither_a_reply_nor_a_result_is_true_by_itself(scripted: Script, score_answer: Answer) -> None:
    found = score(scripted(answered(score_answer)))
    for one in (found, found[0]):
        with pytest.raises(TypeError, match="neither true nor false"):
            bool(one)


def test_no_results_are_not_all_ok() -> None:
    assert not Reply[Verdict]("r", None, ()).all_ok


def places(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every member of a body."""
    rows = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [each for key, inner in rows for each in ((*path, key), *places(inner, (*path, key)))]


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4), st.just([]), st.just({}), st.just("OK")
)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_change_of_an_ng_makes_it_ok_but_that_of_its_decision_and_score(data: st.DataObject) -> None:
    ng: Answer = {
        "request_id": "r-1",
        "results": [
            {
                "index": 0,
                "filename": "a",
                "product": "screw",
                "score": 0.9,
                "p_value": 0.0,
                "decision": "NG",
                "threshold": 0.8,
                "threshold_origin": "counted",
                "review_threshold": 0.7,
                "artifact": {"version": "1", "method": "mkd", "hash": "ab"},
                "image": {"width": 4, "height": 3},
                "timing": dict.fromkeys(("decode_ms", "queue_ms", "device_ms", "encode_ms", "total_ms"), 0.0),
            }
        ],
    }
    body = copy.deepcopy(ng)
    for _ in range(data.draw(st.integers(1, 3))):
        *way, last = data.draw(st.sampled_from(places(body)))
        holder: Any = body
        for key in way:
            holder = holder[key]
        if data.draw(st.booleans()):
            del holder[last]
        else:
            holder[last] = data.draw(JUNK)
        if not places(body):
            break
    try:
        found = reply(Wire[Verdict].model_validate_json(json.dumps(body)), 1, "screw")
    except ValueError:
        return
    (result,) = found
    said = body["results"][0]
    allowed = said.get("review_threshold") if said.get("review_threshold") is not None else said["threshold"]
    assert result.is_ok == (said.get("decision") == "OK" and "error" not in {k for k, v in said.items() if v})
    assert not result.is_ok or said["score"] <= allowed


@pytest.mark.parametrize("member", ["map", "overlay", "mask"])
@pytest.mark.parametrize("text", ["", "OK", "!!", "iVBORw0KGgo="])
def test_a_picture_that_cannot_be_read_is_no_verdict(
    scripted: Script, score_answer: Answer, member: str, text: str
) -> None:
    import base64

    import cv2
    import numpy as np

    def png(*shape: int) -> str:
        return base64.b64encode(cv2.imencode(".png", np.zeros(shape, np.uint8))[1].tobytes()).decode()

    scale = {"low": 0.0, "high": 1.0, "threshold": 0.5, "grey_at_threshold": 128}
    sound = {"map": png(3, 4), "overlay": png(3, 4, 3), "mask": png(3, 4), "map_scale": scale, "regions": []}

    def localize(pictures: Answer) -> bool:
        body = score_answer | {"results": [score_answer["results"][0] | pictures]}
        with Client(transport=scripted(answered(body)), retries=Retries(attempts=1)) as client:
            return client.localize(b"picture").all_ok

    assert localize(sound)
    for wrong in (text, png(4, 3) if member != "overlay" else png(3, 4)):
        with pytest.raises(ClientError):
            localize(sound | {member: wrong})
