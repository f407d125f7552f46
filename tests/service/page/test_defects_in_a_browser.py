"""Recurring defects in a real browser: groups with their pictures, a name, and what a viewer may not do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.service.page.conftest import NG, see, slow_frames

if TYPE_CHECKING:
    from tests.service.page.answers import MadeUpAnswers
    from tests.service.page.conftest import Open, Served

GROUP = 4


def make_up(answers: MadeUpAnswers, row: dict[str, Any]) -> None:
    """The service's answers about groups, of a part that it has judged."""

    def groups() -> dict[str, Any]:
        name = answers.sent_to("name")[-1]["name"] if answers.sent_to("name") else None
        named = {"name": name, "named_by": "anna" if name else None, "named_at": row["at"] if name else None}
        members = [{**row, "box": [30, 10, 12, 8]}]
        group = {"id": GROUP, **named, "parts": 3, "share": 0.015, "members": members}
        work = {"waiting": 0, "trouble": None}
        return {"groups": [group], "inspected": 200, "alone": 2, "undescribed": {"no_region": 1}, "work": work}

    answers.add("GET", "/defect-groups", groups)
    answers.add("POST", f"/defect-groups/{GROUP}/name", None, 204)


def test_a_group_shows_its_pictures_and_is_named(open_page: Open, served: Served, answers: MadeUpAnswers) -> None:
    make_up(answers, served.wait_for(served.judge(NG)))
    page = open_page("defects", who="anna")
    for words in ("Group 4", "3 parts", "1.5%"):
        see(page, "[data-testid=group]", words)
    see(page, ".defects", "2 regions resemble no other. One part has no region")
    assert page.locator("svg.crop").get_attribute("viewBox") == "27 5 18 18"
    page.locator("[data-testid=group] input").fill(" scratch ")
    page.get_by_role("button", name="Name it").click()
    see(page, "[data-testid=group] h2", "scratch")
    see(page, "[data-testid=group]", "Named by anna")
    assert answers.sent_to("name") == [{"name": "scratch"}]
    page.locator(".tile").click()
    see(page, "dialog", "Threshold")


def test_who_may_only_look_names_nothing(open_page: Open, served: Served, answers: MadeUpAnswers) -> None:
    make_up(answers, served.wait_for(served.judge(NG)))
    page = open_page("defects", who="eye")
    see(page, "[data-testid=group]", "3 parts")
    assert page.locator("[data-testid=group] input").count() == 0


def test_the_real_service_says_that_nothing_has_come_twice_on_a_slow_machine_too(open_page: Open) -> None:
    page = open_page("defects", before=slow_frames)
    see(page, "main", "No defect has come twice")
