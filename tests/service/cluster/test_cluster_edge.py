"""The middleware in Ray's proxy: a request names its product, and what Ray refuses in plain text is a problem."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from service.cluster.edge import Edge


class Proxy:
    """Answers as Ray's proxy would; keeps the headers that it was sent."""

    def __init__(self, status: int | None, text: str = "no", content_type: str = "text/plain", **headers: str) -> None:
        self.status, self.text, self.headers = status, text, {"content-type": content_type, **headers}
        self.seen: list[tuple[str, str]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen = [(name.decode(), value.decode()) for name, value in scope["headers"]]
        if self.status is None:  # a replica died under the request
            return
        headers = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        headers.append((b"x-request-id", b"of Ray"))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.text.encode()})


def ask(app: ASGIApp, url: str = "/score?product=bolt", **headers: str) -> httpx.Response:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app=Edge(app))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post(url, content=b"image", headers=headers)

    return asyncio.run(asked())


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        (429, 429, "overloaded"),
        (503, 503, "not_ready"),
        (404, 503, "not_ready"),
        (408, 504, "deadline_exceeded"),
        (500, 503, "not_ready"),
        (None, 503, "not_ready"),
    ],
)
def test_what_ray_refuses_is_a_problem_of_the_service(said: int | None, status: int, code: str) -> None:
    answer = ask(Proxy(said), **{"x-request-id": "part-7"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["code"], problem["status"], problem["instance"]) == (code, status, "/score")
    assert problem["request_id"] == "part-7"
    assert answer.headers.get_list("x-request-id") == ["part-7"]
    assert (int(answer.headers.get("retry-after", "0")) >= 1) == (status in {429, 503})


@pytest.mark.parametrize("content_type", ["application/problem+json", "application/json"])
def test_what_the_service_answers_itself_passes_as_it_is(content_type: str) -> None:
    answer = ask(Proxy(503, '{"code": "shutting_down"}', content_type, **{"retry-after": "5"}))
    assert (answer.status_code, answer.json(), answer.headers["retry-after"]) == (503, {"code": "shutting_down"}, "5")
    assert len(answer.headers.get_list("x-request-id")) == 1


def test_the_product_is_named_to_the_router_and_callers_cannot_steer_it() -> None:
    proxy = Proxy(200)
    ask(proxy, **{"serve-multiplexed-model-id": "tile", "x-session-id": "1", "x-request-timeout-seconds": "0"})
    assert [value for name, value in proxy.seen if name == "serve_multiplexed_model_id"] == ["bolt"]
    assert not {"serve-multiplexed-model-id", "x-session-id", "x-request-timeout-seconds"} & dict(proxy.seen).keys()


@pytest.mark.parametrize("query", ["", "?product=", "?product=../etc", "?product=a%0d%0ab"])
def test_a_name_that_is_none_is_not_handed_on(query: str) -> None:
    proxy = Proxy(200)
    ask(proxy, f"/score{query}")
    assert "serve_multiplexed_model_id" not in dict(proxy.seen)


def test_rays_own_paths_are_left_to_ray() -> None:
    answer = ask(Proxy(503, "draining"), "/-/healthz")
    assert (answer.status_code, answer.text) == (503, "draining")
