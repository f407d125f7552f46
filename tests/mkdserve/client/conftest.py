"""The real application for the client's tests, in this process and on a port; and answers that no service gave."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.service.rest.conftest import house, open_house, picture, serve

__all__ = ["house", "open_house", "picture", "serve"]

Answer = dict[str, Any]


@pytest.fixture
def verdict() -> Answer:
    """An entry of /score as the service gives it, in a dict of the test's own."""
    return {
        "index": 0,
        "filename": "000",
        "product": "screw",
        "artifact": {"version": "1", "method": "mkd", "hash": "ab" * 32},
        "score": 0.2,
        "p_value": 0.7,
        "threshold": 0.8,
        "threshold_origin": "counted",
        "review_threshold": 0.76,
        "decision": "OK",
        "image": {"width": 4, "height": 3, "seen": True},
        "timing": {"decode_ms": 1.0, "queue_ms": 0.0, "device_ms": 2.0, "encode_ms": 0.0, "total_ms": 3.0},
    }


@pytest.fixture
def score_answer(verdict: Answer) -> Answer:
    """The body of a whole answer with that entry."""
    return {"request_id": "r-1", "results": [verdict]}


Script = Callable[..., httpx.MockTransport]


@pytest.fixture
def asked() -> list[httpx.Request]:
    """The requests that `scripted` has had."""
    return []


@pytest.fixture
def scripted(asked: list[httpx.Request]) -> Script:
    """A network that gives these answers in turn, or raises them; the last one again and again."""

    def make(*answers: httpx.Response | Exception) -> httpx.MockTransport:
        def answer(request: httpx.Request) -> httpx.Response:
            asked.append(request)
            one = answers[min(len(asked), len(answers)) - 1]
            if isinstance(one, Exception):
                raise one
            return httpx.Response(one.status_code, headers=one.headers, content=one.content)

        return httpx.MockTransport(answer)

    return make


def problem(status: int, code: str, retry_after: str | None = None) -> httpx.Response:
    """A refusal as the service sends it."""
    body = {"type": "t", "title": "T", "status": status, "detail": "D", "instance": "/", "code": code}
    headers = {"Content-Type": "application/problem+json"} | ({"Retry-After": retry_after} if retry_after else {})
    return httpx.Response(status, headers=headers, content=json.dumps(body | {"request_id": "r-9"}))
