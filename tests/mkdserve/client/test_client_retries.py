"""What is asked for again, after which wait, and what is not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from mkdserve.client import (
    Client,
    ClientError,
    Conflict,
    DeadlineExceeded,
    Overloaded,
    Retries,
    ServiceFault,
    ServiceUnreachable,
    Unavailable,
)
from mkdserve.client.errors import retry_after_s
from tests.mkdserve.client.conftest import Answer, Script, problem

SOON = Retries(attempts=4, first_s=0.001, longest_s=0.002)


def sound(score_answer: Answer) -> httpx.Response:
    return httpx.Response(200, content=json.dumps(score_answer), headers={"Content-Type": "application/json"})


@pytest.mark.parametrize(
    "refusal",
    [
        problem(429, "overloaded", "0"),
        problem(503, "not_ready", "0"),
        problem(503, "shutting_down"),
        problem(500, "inference_failed"),
        httpx.Response(502, text="bad gateway"),
        httpx.ConnectError("refused"),
        httpx.ReadError("broken"),
        httpx.RemoteProtocolError("hung up"),
    ],
)
def test_what_may_pass_is_asked_for_again(
    scripted: Script, asked: list[httpx.Request], score_answer: Answer, refusal: httpx.Response | Exception
) -> None:
    with Client(transport=scripted(refusal, refusal, sound(score_answer)), retries=SOON) as client:
        assert client.score(b"picture").all_ok
    assert len(asked) == 3
    assert all(b"picture" in request.content for request in asked)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "malformed_request"),
        (401, "unauthorized"),
        (404, "product_not_found"),
        (413, "body_too_large"),
        (422, "invalid_parameter"),
        (500, "internal_error"),
        (504, "deadline_exceeded"),
        (503, "feedback_off"),
    ],
)
def test_what_would_be_refused_again_is_not(
    scripted: Script, asked: list[httpx.Request], status: int, code: str
) -> None:
    with (
        Client(transport=scripted(problem(status, code, "0")), retries=SOON) as client,
        pytest.raises(ClientError) as it,
    ):
        client.score(b"picture")
    assert (it.value.code, it.value.status, it.value.title, it.value.detail) == (code, status, "T", "D")
    assert it.value.request_id == "r-9"
    assert len(asked) == 1


def test_the_attempts_are_counted(scripted: Script, asked: list[httpx.Request]) -> None:
    with Client(transport=scripted(problem(429, "overloaded", "0")), retries=SOON) as client, pytest.raises(Overloaded):
        client.score(b"picture")
    assert len(asked) == 4


def test_a_wait_that_would_use_up_the_deadline_is_not_begun(scripted: Script, asked: list[httpx.Request]) -> None:
    with Client(transport=scripted(problem(503, "not_ready", "3000"))) as client, pytest.raises(Unavailable) as it:
        client.score(b"picture", deadline_s=2000)
    assert it.value.retry_after_s == 3000
    assert len(asked) == 1


def test_the_deadline_is_over_all_attempts(scripted: Script, asked: list[httpx.Request]) -> None:
    forever = Retries(attempts=10**9, first_s=0.02, longest_s=0.02)
    transport = scripted(problem(429, "overloaded"))
    with Client(transport=transport, retries=forever, deadline_s=0.3) as client, pytest.raises(ClientError) as it:
        client.score(b"picture")
    assert isinstance(it.value, DeadlineExceeded | Overloaded)
    left = [float(request.headers["x-deadline-ms"]) for request in asked]
    assert left == sorted(left, reverse=True)
    assert 0 < left[-1] < left[0] <= 300


@pytest.mark.parametrize(
    ("answer", "attempts"),
    [
        (httpx.ReadError("broken"), 1),
        (problem(500, "inference_failed"), 1),
        (httpx.Response(503, text="a proxy's own"), 1),
        (httpx.ConnectError("refused"), 4),
        (problem(503, "shutting_down", "0"), 4),
    ],
)
def test_what_must_not_happen_twice_is_repeated_only_where_it_has_surely_not_happened(
    scripted: Script, asked: list[httpx.Request], answer: httpx.Response | Exception, attempts: int
) -> None:
    with Client(transport=scripted(answer), retries=SOON) as client, pytest.raises(ClientError):
        client.rollback("screw")
    assert len(asked) == attempts


def test_a_second_review_is_a_conflict_and_not_repeated(scripted: Script, asked: list[httpx.Request]) -> None:
    with Client(transport=scripted(problem(409, "already_reviewed")), retries=SOON) as client, pytest.raises(Conflict):
        client.review(7, "good")
    assert json.loads(asked[0].content) == {"label": "good"}
    assert len(asked) == 1


def test_a_refusal_that_is_no_problem_json_is_still_told(scripted: Script) -> None:
    answer = httpx.Response(500, text="<h1>Oops</h1>", headers={"X-Request-Id": "r-7"})
    with Client(transport=scripted(answer), retries=SOON) as client, pytest.raises(ServiceFault) as it:
        client.products()
    assert (it.value.code, it.value.request_id) == ("http_500", "r-7")
    assert "Oops" in it.value.detail


@pytest.mark.parametrize("failed", [1, 2, 3, 9])
@pytest.mark.parametrize("drawn", [0.0, 0.5, 0.999])
def test_waits_grow_to_a_bound_and_are_spread(failed: int, drawn: float) -> None:
    retries, error = Retries(attempts=10, first_s=0.1, longest_s=1.0), ServiceUnreachable("gone", sent=False)
    wait = retries.wait_s(failed, error, 60.0, draw=lambda: drawn)
    longest = min(1.0, 0.1 * 2 ** (failed - 1))
    assert wait is not None
    assert longest / 2 <= wait <= longest
    assert wait == pytest.approx(longest * (1 + drawn) / 2)


def test_retry_after_is_waited_for_in_full() -> None:
    error = Overloaded("full", code="overloaded", retry_after_s=7)
    assert Retries().wait_s(1, error, 60.0, draw=lambda: 0.0) == pytest.approx(7.0)
    assert Retries().wait_s(1, error, 60.0, draw=lambda: 0.999) == pytest.approx(7.0999)
    assert Retries().wait_s(1, error, 7.0) is None


def test_retry_after_is_seconds_or_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert retry_after_s("17") == 17
    assert 3500 < (retry_after_s(soon) or 0) <= 3600
    assert retry_after_s(format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True)) == 0
    assert [retry_after_s(text) for text in (None, "", "soon", "-1")] == [None] * 4
