"""The page of the HTTP interface at /docs works where nothing but the service can be reached."""

from __future__ import annotations

import re
from typing import Any, Protocol

import httpx
import pytest

from service.rest.app import DOCS_ASSETS

PREFIXES = ("", "/inspection")


class Get(Protocol):
    """A call of the running application."""

    def __call__(self, path: str, prefix: str = "") -> httpx.Response:
        """The answer where the application lies below `prefix`: a server puts it before the path, as uvicorn does."""


@pytest.fixture
def get(house: Any) -> Get:
    async def ask(path: str, prefix: str) -> httpx.Response:
        transport = httpx.ASGITransport(house.app, root_path=prefix)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.get(prefix + path)

    def call(path: str, prefix: str = "") -> httpx.Response:
        answer: httpx.Response = house.run(ask(path, prefix))
        return answer

    return call


def references(page: str) -> list[str]:
    """Every address that a browser loads for `page`: links, scripts and pictures."""
    return re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)["']""", page)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_page_loads_nothing_from_elsewhere(get: Get, prefix: str) -> None:
    page = get("/docs", prefix)
    assert page.status_code == 200
    assert len(references(page.text)) == 3
    assert all(address.startswith(f"{prefix}{DOCS_ASSETS}/") for address in references(page.text))
    assert not re.search(r"https?://|//cdn", page.text)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_page_reads_the_document_below_the_same_prefix(get: Get, prefix: str) -> None:
    url = re.search(r"""url: ["']([^"']+)["']""", get("/docs", prefix).text)
    assert url is not None
    assert url[1] == f"{prefix}/openapi.json"


@pytest.mark.parametrize("prefix", PREFIXES)
def test_script_style_and_icon_are_answered_by_the_service(get: Get, prefix: str) -> None:
    kinds = set()
    for address in references(get("/docs", prefix).text):
        answer = get(address.removeprefix(prefix), prefix)
        assert answer.status_code == 200
        assert len(answer.content) > 1000
        kinds.add(answer.headers["content-type"].partition(";")[0])
    assert kinds == {"text/javascript", "text/css", "image/png"}


def test_the_style_loads_nothing_from_elsewhere(get: Get) -> None:
    style = get(f"{DOCS_ASSETS}/swagger-ui.css").text
    assert set(re.findall(r"url\(['\"]?(\w+):", style)) <= {"data"}
    assert "@import" not in style


def test_the_page_shows_the_document_to_no_validator(get: Get) -> None:
    assert re.search(r'"validatorUrl":\s*null', get("/docs").text)


def test_the_files_of_the_page_go_with_the_document(open_house: Any) -> None:
    assert open_house().get(f"{DOCS_ASSETS}/swagger-ui.css").status_code == 200
    assert open_house(openapi=False).get(f"{DOCS_ASSETS}/swagger-ui.css").status_code == 404
