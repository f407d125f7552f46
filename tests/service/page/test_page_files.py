"""The page's files: their types and headers, what may run in them, and words that are the same in every language."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from service.page.routes import router
from service.page.static_files import MEDIA_TYPES, page
from service.rest.prefix import PrefixMiddleware

STATIC = Path(__file__).parents[3] / "service" / "page" / "static"
NOTICE = Path(__file__).parents[3] / "NOTICE"
SCRIPTS = [file for file in STATIC.rglob("*.js") if "vendor" not in file.parts]
LANGUAGES = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in (STATIC / "strings").glob("*.json")}
HOLES = re.compile(r"\{(\w+)\}")


Get = Callable[..., httpx.Response]


@pytest.fixture
def get() -> Get:
    """`get(path, method="GET", headers={})` asks the page's routes alone."""
    app = FastAPI(redirect_slashes=False)
    app.include_router(router)
    app.add_middleware(PrefixMiddleware, root_path="")

    async def ask(path: str, method: str = "GET", headers: dict[str, str] | None = None) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8000") as client:
            return await client.request(method, path, headers=headers)

    return lambda *args, **options: asyncio.run(ask(*args, **options))


def test_the_first_document_is_asked_for_anew_and_the_files_are_kept_for_good(get: Get) -> None:
    first = get("/ui/")
    assert first.headers["content-type"] == "text/html; charset=utf-8"
    assert first.headers["cache-control"] == "no-cache"
    named = re.findall(r'(?:src|href)="([^"]+)"', first.text)
    assert len(named) > 5
    for path in named:
        found = get(f"/ui/{path}")
        assert found.status_code == 200, path
        assert found.headers["content-type"] == MEDIA_TYPES[path.rpartition(".")[2]], path
        assert "immutable" in found.headers["cache-control"]


def test_what_has_not_changed_is_not_sent_again(get: Get) -> None:
    tag = get("/ui/").headers["etag"]
    again = get("/ui/", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert get("/ui/", headers={"If-None-Match": '"other"'}).status_code == 200
    assert get("/ui/", method="HEAD").status_code == 200


def test_files_of_another_build_and_files_that_are_none_are_not_there(get: Get) -> None:
    build = page().build
    for path in ("000000000000/js/main.js", f"{build}/js/none.js", f"{build}/%2e%2e/index.html", f"{build}/index.html"):
        assert get(f"/ui/{path}").status_code == 404, path


@pytest.mark.parametrize("prefix", ["", "/line-7"])
def test_the_way_to_the_page_stays_below_a_proxys_prefix(get: Get, prefix: str) -> None:
    headers = {"X-Forwarded-Prefix": prefix} if prefix else {}
    answer = get(f"{prefix}/ui", headers=headers)
    assert answer.status_code == 307
    assert answer.next_request is not None
    assert answer.next_request.url.path == f"{prefix}/ui/"
    assert 'src="/' not in get(f"{prefix}/ui/", headers=headers).text


def test_nothing_runs_in_the_page_but_its_own_files(get: Get) -> None:
    first = get("/ui/")
    policy = dict(part.split(" ", 1) for part in first.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert first.headers["referrer-policy"] == "no-referrer"
    assert re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", first.text) is None
    assert get(f"/ui/{page().build}/js/main.js").headers["content-security-policy"]


def test_scripts_are_plain_modules_whose_imports_are_there_and_that_write_no_markup() -> None:
    assert len(SCRIPTS) > 20
    for file in SCRIPTS:
        text = file.read_text(encoding="utf-8")
        for path in re.findall(r'^import[^"]*"([^"]+)";$', text, re.MULTILINE):
            assert (file.parent / path).is_file(), f"{file.name}: {path}"
        assert not re.search(r"innerHTML|dangerouslySet|eval\(|new Function|document\.write", text), file.name


def test_every_language_says_the_same_things() -> None:
    english = LANGUAGES["en"]
    assert set(LANGUAGES) == {"de", "en"}
    for name, strings in LANGUAGES.items():
        assert set(strings) == set(english), name
        for key, text in strings.items():
            assert set(HOLES.findall(text)) == set(HOLES.findall(english[key])), f"{name}: {key}"
            assert text.strip(), f"{name}: {key}"


def test_every_text_that_a_script_asks_for_is_there_and_none_is_left_over() -> None:
    text = "\n".join(file.read_text(encoding="utf-8") for file in SCRIPTS)
    asked = {
        key
        for key in re.findall(r'"([a-z_]+(?:[.][a-z_./]+)+)"', text)
        if key.split(".")[0] in {k.split(".")[0] for k in LANGUAGES["en"]}
    }
    asked |= set(re.findall(r'\bt\("([^"]+)"', text))
    patterns = [
        re.compile(re.sub(r"\\\$\\\{.*?\\\}", ".*", re.escape(one))) for one in re.findall(r"\bt\(`([^`]+)`", text)
    ]
    known = {key.removesuffix(".one") for key in LANGUAGES["en"]}
    assert asked - known == set()
    assert {key for key in known - asked if not any(pattern.fullmatch(key) for pattern in patterns)} == set()


def test_what_others_wrote_has_its_licence_beside_it_and_stands_in_the_notice() -> None:
    notice = NOTICE.read_text(encoding="utf-8")
    for words in ("htm 3.1.1", "Preact", "IBM Plex Sans", "Open Font License"):
        assert words in notice
    assert all(
        (STATIC / path).stat().st_size > 900
        for path in ("js/vendor/htm-LICENSE.txt", "js/vendor/preact-LICENSE.txt", "fonts/ibm-plex-sans-LICENSE.txt")
    )


def test_scripts_import_nothing_that_they_do_not_use() -> None:
    for file in SCRIPTS:
        text = file.read_text(encoding="utf-8")
        for names in re.findall(r"^import \{([^}]*)\} from ", text, re.MULTILINE):
            for name in names.split(","):
                assert len(re.findall(rf"\b{re.escape(name.strip())}\b", text)) > 1, f"{file.name}: {name}"
