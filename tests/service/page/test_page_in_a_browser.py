"""The page in a real browser on a real service: every view, its keys, its bad inputs, and that everybody can use it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.service.page.conftest import NG, OK, REVIEW, own_connection, see

pytestmark = pytest.mark.long  # a minute in a browser; the other files of this folder are part of `make test`

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

    from tests.service.page.conftest import Open, Served

VIEWS = ("live", "review", "teach", "what-if", "products", "products/+", "defects")
SIZES = ((1280, 800), (390, 844))
HOUR = "01:00:00"
SERIOUS = {"serious", "critical"}


@pytest.fixture(scope="module", autouse=True)
def a_morning(served: Served) -> None:
    """Some parts before anybody looks."""
    for brightness in (OK, OK, REVIEW, OK, NG, OK, REVIEW, NG, NG, REVIEW, OK, NG):
        last = served.judge(brightness)
    served.wait_for(last)


def decision(page: Page, text: str | re.Pattern[str]) -> None:
    see(page, "[data-testid=decision]", text)


# Live


def test_the_last_verdict_is_shown_large_and_the_next_as_it_happens(open_page: Open, served: Served) -> None:
    page = open_page("live", who="eye")
    decision(page, "NG")
    part = served.judge(OK)
    decision(page, "OK")
    see(page, ".verdict-part", part)
    assert page.locator(".verdict-word").evaluate("word => parseFloat(getComputedStyle(word).fontSize)") >= 72
    assert page.locator(".verdict .sign-OK").count() == 1  # a shape beside the word and the colour


def test_one_looks_back_with_the_arrows_and_comes_back_with_escape(open_page: Open, served: Served) -> None:
    page = open_page("live")
    newest, before = served.judge(OK), None
    see(page, ".verdict-part", newest)
    page.keyboard.press("ArrowLeft")
    see(page, ".verdict-time", "Looking back")
    before = page.locator(".verdict-part").inner_text()
    assert before != newest
    newest = served.judge(NG)
    page.wait_for_selector(f".strip[aria-valuemax='{served.count}']")
    assert page.locator(".verdict-part").inner_text() == before  # what is looked at does not jump away
    page.keyboard.press("Escape")
    see(page, ".verdict-part", newest)


def test_a_picture_that_was_not_kept_and_one_that_was_thinned_away_say_so(open_page: Open, served: Served) -> None:
    part = served.judge(OK)
    page = open_page("live")
    see(page, ".verdict-part", part)
    see(page, ".stage", "No picture was kept")
    page.locator(".stage button").click()
    see(page, ".verdict-time", "Looking back")
    page.keyboard.press("Escape")
    problem = {"status": 410, "json": {"code": "picture_gone", "detail": "it was kept and has been removed"}}
    page.route("**/verdicts/*/picture*", lambda route: route.fulfill(**problem))
    served.judge(NG)
    see(page, ".stage", "thinned away")


def test_a_cut_is_said_and_what_was_missed_comes_after_it(open_page: Open, served: Served) -> None:
    page = open_page("live", alone=True, before=own_connection)
    see(page, "[data-testid=connection]", "Connected")
    page.context.set_offline(True)
    see(page, ".banner", "No connection")
    page.wait_for_selector(".verdict-stale")  # an old verdict does not look like a new one
    missed = [served.judge(brightness) for brightness in (OK, NG, OK)]
    page.context.set_offline(False)
    see(page, ".verdict-part", missed[-1])
    see(page, "[data-testid=connection]", "Connected")
    assert page.locator(".banner").count() == 0
    page.wait_for_selector(f".strip[aria-valuemax='{min(100, served.count)}']")


def test_a_browser_that_has_slept_for_an_hour_says_so_and_goes_on(open_page: Open, served: Served) -> None:
    def before(page: Page) -> None:
        page.clock.install()
        own_connection(page)

    page = open_page("live", alone=True, before=before)
    see(page, "[data-testid=connection]", "Connected")
    page.route("**/events*", lambda route: route.abort())  # the connection is dead, and nobody has told the browser
    page.clock.fast_forward(HOUR)
    see(page, ".banner", "No connection")
    part = served.judge(REVIEW)
    page.unroute("**/events*")
    page.clock.fast_forward(10_000)
    see(page, ".verdict-part", part)
    decision(page, "REVIEW")


def test_what_passes_is_tried_again_and_what_does_not_says_so(open_page: Open) -> None:
    told = [{"code": "feedback_unavailable", "detail": "it has not been opened yet"}] * 3

    def answer(route: Route) -> None:
        if told:
            route.fulfill(status=503, json=told.pop())
        else:
            route.fallback()

    page = open_page("review", before=lambda page: page.route("**/reviews?**", answer))
    see(page, ".state-failed", "it has not been opened yet")
    see(page, ".verdict-part", "P-")  # by itself
    off = {"code": "feedback_off", "detail": "the setting is feedback"}
    page.route("**/verdicts?**", lambda route: route.fulfill(status=503, json=off))
    page.keyboard.press("1")
    see(page, ".state-failed", "This service keeps no verdicts")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"ready": False, "reason": "device cpu is lost"}, "device cpu is lost"),
        ({"drift": [{"product": "screw", "words": "brightness has gone lower"}]}, "brightness has gone lower"),
        ({"feedback": {"ok": False, "reason": "the disk is full"}}, "the disk is full"),
    ],
)
def test_a_banner_says_when_verdicts_cannot_be_trusted(open_page: Open, state: dict[str, Any], words: str) -> None:
    whole = {"ready": True, "reason": None, "drift": [], "feedback": {"ok": True, "reason": None}, **state}
    body = f"event: state\ndata: {json.dumps(whole)}\n\n"
    told = {"status": 200, "content_type": "text/event-stream", "body": body}

    def before(page: Page) -> None:
        own_connection(page)
        page.route("**/events*", lambda route: route.fulfill(**told))

    page = open_page("live", before=before)
    see(page, ".banners", words)
    page.wait_for_selector(".verdict")
    assert page.locator(".verdict-stale").count() == (0 if whole["ready"] else 1)


# Review


def test_one_key_each_for_good_defect_and_unsure_and_each_is_stored_with_its_name(
    open_page: Open, served: Served
) -> None:
    page = open_page("review", who="anna")
    first = page.locator(".verdict-part").inner_text()
    page.keyboard.press("g")
    see(page, ".notice", f"{first}: Good")
    second = page.locator(".verdict-part").inner_text()
    assert second != first
    page.keyboard.press("d")
    page.locator("dialog input").fill("scratch")
    page.keyboard.press("Enter")
    see(page, ".notice >> nth=-1", f"{second}: Defect")
    third = page.locator(".verdict-part").inner_text()
    page.keyboard.press("u")
    see(page, ".notice >> nth=-1", f"{third}: Unsure")
    said = [served.get("/verdicts", part_id=part)["verdicts"][0]["reviews"][-1] for part in (first, second, third)]
    assert [(one["label"], one["class"], one["by"]) for one in said] == [
        ("good", None, "anna"),
        ("defect", "scratch", "anna"),
        ("unsure", None, "anna"),
    ]


def test_a_class_that_was_used_before_is_one_digit_away(open_page: Open, served: Served) -> None:
    page = open_page("review", who="anna")
    for name in ("dent", None):
        part = page.locator(".verdict-part").inner_text()
        page.keyboard.press("d")
        if name:
            page.locator("dialog input").fill(name)
            page.keyboard.press("Enter")
        else:
            see(page, ".class-choice", re.compile("dent|scratch"))
            digit = page.locator(".class-choice", has_text="dent").locator("kbd").inner_text()
            page.locator("dialog h2").click()  # out of the field, as a person with the other hand on the digits
            page.keyboard.press(digit)
        see(page, ".notice >> nth=-1", f"{part}: Defect")
        assert served.get("/verdicts", part_id=part)["verdicts"][0]["reviews"][-1]["class"] == "dent"


def test_a_judgement_is_taken_back_and_the_part_waits_again(open_page: Open, served: Served) -> None:
    part = served.judge(NG)
    served.wait_for(part)
    page = open_page("review", who="anna")
    shown = page.locator(".verdict-part").inner_text()
    page.keyboard.press("g")
    see(page, ".notice", "Good")
    page.keyboard.press("z")
    see(page, ".notice >> nth=-1", "taken back")
    see(page, ".verdict-part", shown)
    review = served.get("/verdicts", part_id=shown)["verdicts"][0]["reviews"][-1]
    assert review["withdrawn_at"] is not None


def test_two_reviewers_of_one_part_see_that_they_disagree(open_page: Open, served: Served) -> None:
    page = open_page("review", who="anna")
    part = page.locator(".verdict-part").inner_text()
    served.say("ben", part, "defect")
    see(page, ".judgements", "ben")  # while it is on the screen
    page.keyboard.press("g")
    see(page, ".notice", "ben says Defect")
    page.get_by_label("Disagreement").check(force=True)
    see(page, ".verdict-part", part)
    see(page, ".judgements", "Reviewers disagree")
    page.keyboard.press("g")
    see(page, ".notice >> nth=-1", "already")


def test_a_key_that_may_only_look_gets_words_instead_of_buttons(open_page: Open, served: Served) -> None:
    page = open_page("review", who="eye")
    see(page, ".review-side", "lacks the scope review")
    before = served.get("/reviews")["waiting"]
    page.keyboard.press("g")
    assert page.locator(".judge").count() == 0
    assert served.get("/reviews")["waiting"] == before


def test_a_key_without_view_sees_what_is_missing(open_page: Open) -> None:
    see(open_page("live", who="line"), "main", "lacks the scope view")


# Log in


def test_one_logs_in_with_a_key_and_out_again(open_page: Open, served: Served) -> None:
    page = open_page("live", who=None)
    page.locator("input").fill("mkd_wrong")
    page.keyboard.press("Enter")
    see(page, ".field-error", "not known")
    page.locator("input").fill(served.keys["anna"])
    page.keyboard.press("Enter")
    decision(page, re.compile("OK|REVIEW|NG"))
    assert served.keys["anna"] not in page.url
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], served.keys["anna"] in cookie["value"]) == (True, "Strict", False)
    page.keyboard.press("?")
    page.get_by_role("button", name="Log out").click()
    see(page, "h1", "Log in")
    assert page.context.cookies() == []


def test_a_forged_cookie_is_as_good_as_none(open_page: Open, served: Served) -> None:
    page = open_page("live", alone=True)
    decision(page, re.compile("OK|REVIEW|NG"))
    (cookie,) = page.context.cookies()
    body, _, signature = cookie["value"].partition(".")
    page.context.add_cookies([{"name": cookie["name"], "value": f"{body[:-2]}AA.{signature}", "url": served.url}])
    page.reload()
    see(page, "h1", "Log in")


def test_a_session_that_ends_at_work_asks_for_the_key_again(open_page: Open, served: Served) -> None:
    page = open_page("review", who="anna", alone=True)
    see(page, ".verdict-part", "P-")
    page.context.clear_cookies()
    page.keyboard.press("g")
    see(page, ".login-over", "session is over")


def test_another_page_can_change_nothing_with_the_cookie(open_page: Open, served: Served) -> None:
    page = open_page("review", who="anna", alone=True)
    part = page.locator(".verdict-part").inner_text()
    row = served.wait_for(part)
    other = page.context.new_page()
    other.route("http://evil.test/", lambda route: route.fulfill(content_type="text/html", body="<h1>a page</h1>"))
    other.goto("http://evil.test/")
    attack = """async ([url, id]) => {
        const answer = fetch(`${url}/verdicts/${id}/reviews`, {method: "POST", credentials: "include", mode: "no-cors",
            body: JSON.stringify({label: "good"})}).then(() => "sent", () => "refused");
        const read = fetch(`${url}/verdicts`, {credentials: "include"}).then(() => "read", () => "refused");
        return [await answer, await read];
    }"""
    assert other.evaluate(attack, [served.url, row["id"]])[1] == "refused"
    assert served.wait_for(part)["reviews"] == row["reviews"]


def test_below_a_proxys_prefix_everything_stays_below_it(open_page: Open, served: Served) -> None:
    page = open_page("live", who=None)
    see(page, "h1", "Log in")
    asked: list[str] = []
    page.context.set_extra_http_headers({"X-Forwarded-Prefix": "/line-7"})
    page.on("request", lambda request: asked.append(request.url.removeprefix(served.url)))
    page.goto("/line-7/ui")
    page.locator("input").fill(served.keys["eye"])
    page.keyboard.press("Enter")
    decision(page, re.compile("OK|REVIEW|NG"))
    assert [path for path in asked if not path.startswith("/line-7/")] == []
    assert [cookie["path"] for cookie in page.context.cookies()] == ["/line-7"]


# Everybody


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("size", SIZES, ids=["wide", "narrow"])
def test_every_view_fits_both_sizes_speaks_both_languages_and_has_no_serious_fault(
    open_page: Open, size: tuple[int, int], language: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    theme, audited = ("dark", size == SIZES[0]) if language == "de" else ("light", size == SIZES[1])
    page = open_page("live", size=size, language=language, theme=theme)
    see(page, ".rail", {"en": "Review", "de": "Prüfen"}[language])
    for view in VIEWS:
        page.evaluate("view => { location.hash = `#/${view}`; }", view)
        page.locator("main .card, main .state h2, main .product-list").first.wait_for()
        page.wait_for_timeout(250)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], view
        found = Axe().run(page).response["violations"] if audited else []  # slow, and the two others show nothing new
        faults = [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found if one["impact"] in SERIOUS]
        assert faults == [], view
        small = page.evaluate(SMALL_TARGETS)
        assert small == [], view


TARGETS = "button, a[href], select, input:not([type=radio]):not([type=file])"
SMALL_TARGETS = f"""() => [...document.querySelectorAll("{TARGETS}")].filter((one) => one.offsetParent !== null)
    .filter((one) => !one.closest("label.check") && !one.classList.contains("skip"))
    .filter((one) => Math.min(one.getBoundingClientRect().height, one.getBoundingClientRect().width) < 47.5)
    .map((one) => one.outerHTML.slice(0, 120))"""


def test_the_keyboard_alone_goes_through_all_views_and_stops_where_one_types(open_page: Open) -> None:
    page = open_page("live")
    decision(page, re.compile("OK|REVIEW|NG"))
    for digit, view in (("2", "review"), ("3", "teach"), ("4", "what-if"), ("5", "products"), ("1", "live")):
        page.keyboard.press(digit)
        page.wait_for_url(re.compile(f"#/{view}$"))
    page.keyboard.press("?")
    see(page, "dialog", "Keys")
    page.keyboard.press("2")  # a dialog keeps the keys to itself
    page.keyboard.press("Escape")
    assert page.url.endswith("#/live")
    page.goto("/ui/#/products/+")
    page.locator(".training input").first.fill("x1")
    assert page.url.endswith("#/products/+")
