"""How the page starts where the machine is slow, a file or an answer does not come, or the service is away."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.service.page.conftest import OK, see, slow_frames

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

    from tests.service.page.conftest import Open, Served

pytestmark = pytest.mark.long
DECIDED = re.compile("OK|REVIEW|NG")
BUSY: dict[str, Any] = {"status": 503, "json": {"code": "overloaded", "detail": "too much to do"}}


@pytest.fixture(scope="module", autouse=True)
def a_part(served: Served) -> None:
    """One part before anybody looks."""
    served.wait_for(served.judge(OK))


class Failing:
    """Lets the first `times` requests of a pattern fail as `how` says, none of them at first."""

    def __init__(self, pattern: str, times: int = 1, **how: Any) -> None:
        self.asked = 0
        self._pattern = pattern
        self._times = times
        self._how = how

    def __call__(self, page: Page) -> None:
        page.route(self._pattern, self._answer)

    def _answer(self, route: Route) -> None:
        self.asked += 1
        if self.asked > self._times:
            route.fallback()
        elif self._how:
            route.fulfill(**self._how)
        else:
            route.abort()


def test_what_changes_before_the_first_frame_is_drawn_is_shown(open_page: Open) -> None:
    page = open_page("live", before=slow_frames)
    see(page, "[data-testid=decision]", DECIDED)
    see(page, "[data-testid=connection]", "Connected")


def test_words_that_do_not_come_are_asked_for_again(open_page: Open) -> None:
    words = Failing("**/strings/en.json", times=2)
    page = open_page("live", before=words)
    see(page, "#app", "Connecting to the service")
    see(page, "[data-testid=decision]", DECIDED)
    assert words.asked == 3


def test_a_script_that_does_not_come_is_said_and_the_page_starts_anew_by_itself(open_page: Open) -> None:
    page = open_page("live", before=Failing("**/js/views/live.js", times=2))  # for the preload and for who imports it
    see(page, "[role=alert]", "does not send the page")
    see(page, "[data-testid=decision]", DECIDED)
    assert page.evaluate("sessionStorage.getItem('mkdserve.starts')") == "0"


def test_a_style_that_does_not_come_is_asked_for_again(open_page: Open) -> None:
    from playwright.sync_api import expect

    page = open_page("live", before=Failing("**/css/views.css", times=2))
    see(page, "[data-testid=decision]", DECIDED)
    expect(page.locator(".live")).to_have_css("display", "grid")


@pytest.mark.parametrize("how", [{}, BUSY], ids=["no answer", "busy"])
def test_the_first_question_is_asked_until_it_is_answered(open_page: Open, how: dict[str, Any]) -> None:
    page = open_page("live", before=Failing("**/session", times=2, **how))
    see(page, ".state-failed", "tried again by itself")
    see(page, "[data-testid=decision]", DECIDED)


def test_products_that_cannot_be_read_are_not_taken_for_none(open_page: Open) -> None:
    page = open_page("teach", before=Failing("**/products", times=1, **BUSY))
    see(page, ".state-failed", "too much to do")
    see(page, ".teach", "Propose")


def test_a_language_whose_words_do_not_come_changes_nothing(open_page: Open) -> None:
    page = open_page("live", before=Failing("**/strings/de.json", times=9))
    see(page, "[data-testid=decision]", DECIDED)
    page.keyboard.press("?")
    page.get_by_text("Deutsch").click()
    see(page, ".notice", "does not answer")
    see(page, ".rail", "Review")
