"""Teach, What if, Products and a first training in a real browser: what is proposed, shown, asked back, and done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.service.page.conftest import NG, OK, REVIEW, picture, see

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.service.page.answers import MadeUpAnswers
    from tests.service.page.conftest import Open, Served

READY: dict[str, Any] = {
    "id": 3,
    "state": "ready",
    "reason": None,
    "at": "2026-11-28T09:00:00Z",
    "by": "anna",
    "since": None,
    "until": None,
    "suggested": None,
    "from_version": "1",
    "to_version": None,
    "applied_at": None,
    "applied_by": None,
    "before": {"ng": 0.8, "review": 0.76},
    "after": {"ng": 0.9, "review": 0.85},
    "rate_promised": 0.01,
    "review_rate_promised": 0.05,
    "parts": {"inspected": 900, "repeated": 4, "confirmed": 140, "used": 112, "held_back": 28, "effective": 104.2},
    "held_back": {"parts": 28, "rejected_before": 4, "rejected_after": 0, "share": 0.0, "interval": [0.0, 0.12]},
    "misses": {"scratch": {"parts": 9, "before": 1, "after": 3}},
    "changed": {"now_ok": 14, "now_review": 3, "now_ng": 0},
}
ASKED_BACK = {"state": "refused", "reason": "3 parts have no judgement yet", "id": 2}
TRAINING: dict[str, Any] = {
    "id": "20261128-101500",
    "product": "bracket",
    "version": "20261128-101500",
    "method": "auto",
    "state": "running",
    "reason": None,
    "at": "2026-11-28T10:15:00Z",
    "ended_at": None,
    "by": "boss",
    "pictures": 9,
    "refused": [{"name": "notes.png", "code": "image_undecodable", "detail": "it is no image"}],
    "progress": {"stage": "source activations", "done": 3, "total": 9},
    "log": ["9 images of good parts", "source activations: 3 of 9"],
    "artifact": None,
}
ARTIFACT: dict[str, Any] = {
    "method": "padim",
    "image_size": 128,
    "images_trained": 7,
    "images_held_out": 2,
    "smallest_false_reject": 1 / 3,
    "threshold": {"value": 2.5, "rate_asked": 0.01, "rate_promised": 0.34, "origin": "counted"},
    "review_threshold": None,
    "doubts": ["9 pictures are few"],
}


@pytest.fixture(scope="module", autouse=True)
def a_morning(served: Served) -> None:
    """Some parts before anybody looks."""
    for brightness in (OK, REVIEW, NG, NG, OK, REVIEW):
        last = served.judge(brightness)
    served.wait_for(last)


def test_a_proposal_is_looked_at_before_it_is_applied(open_page: Open, answers: MadeUpAnswers) -> None:
    states = [{**READY}]
    answers.add("GET", "/recalibrations", lambda: {"recalibrations": states})
    answers.add("POST", "/recalibrations", {**READY, "state": "running"}, 202)

    def apply() -> dict[str, Any]:
        states[0] = {**READY, "state": "applied", "to_version": "2"}
        return states[0]

    answers.add("POST", "/recalibrations/3/apply", apply)
    page = open_page("teach")
    for words in ("0.900", "17 past verdicts would change", "28 confirmed good parts held back", "scratch", "3 (+2)"):
        see(page, "[data-testid=proposal]", words)
    page.get_by_role("button", name="Propose").click()
    page.get_by_role("button", name="Apply").click()
    see(page, "dialog", "Apply the new thresholds?")
    assert [sent[0] for sent in answers.sent if "apply" in sent[0]] == []
    page.locator("dialog").get_by_role("button", name="Apply").click()
    see(page, "[data-testid=proposal]", "Applied as version 2")
    proposed = next(body for call, body in answers.sent if call == "POST /recalibrations")
    assert 0 < proposed["max_false_reject"] < 1


def test_a_proposal_that_is_refused_says_why_and_offers_the_window_that_would_do(
    open_page: Open, answers: MadeUpAnswers
) -> None:
    window = {"since": None, "until": "2026-11-28T08:00:00Z"}
    nothing = dict.fromkeys(("before", "after", "parts", "held_back", "misses", "changed"))
    refused = {**READY, **nothing, **ASKED_BACK, "suggested": window}
    answers.add("GET", "/recalibrations", {"recalibrations": [refused]})
    answers.add("POST", "/recalibrations", {"code": "recalibration_running", "detail": "one is at work"}, 409)
    page = open_page("teach", who="anna")
    see(page, ".why-not", "3 parts have no judgement yet")
    page.get_by_role("button", name="Propose for parts before").click()
    see(page, ".notice", "one is at work (recalibration_running)")
    assert ("POST /recalibrations", window) in answers.sent


def test_a_reviewer_may_propose_and_not_apply(open_page: Open, answers: MadeUpAnswers) -> None:
    answers.add("GET", "/recalibrations", {"recalibrations": [READY]})
    page = open_page("teach", who="anna")
    see(page, "[data-testid=proposal]", "needs a key with the scope admin")
    assert page.get_by_role("button", name="Apply").count() == 0
    assert page.get_by_role("button", name="Propose").count() == 1


def test_the_real_service_answers_a_proposal_in_words(open_page: Open) -> None:
    page = open_page("teach")
    page.get_by_role("button", name="Propose").click()
    see(page, ".why-not, .notice-failed", "part")


def test_another_rate_shows_which_parts_change_sides(open_page: Open, served: Served) -> None:
    page = open_page("what-if")
    see(page, ".side-NG", "NG")
    page.locator("#rate").focus()
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    see(page, "[data-testid=rate]", "10%")
    see(page, ".tile", "NG")
    assert page.url.endswith("#/what-if")
    page.locator(".tile").first.click()
    see(page, "dialog", "Threshold")


def test_a_rate_that_cannot_be_promised_says_why(open_page: Open) -> None:
    page = open_page("what-if")
    page.locator("#rate").focus()
    page.keyboard.press("Home")
    see(page, ".state-failed", "rate_not_promised")


def test_a_product_shows_its_promises_and_asks_before_it_is_changed(open_page: Open) -> None:
    page = open_page("products/screw")
    see(page, ".product", "Thresholds and what they promise")
    page.get_by_role("button", name="Take out of service").click()
    see(page, "dialog", "no verdict is not OK")
    page.keyboard.press("Escape")
    assert page.locator(".notice").count() == 0
    page.get_by_role("button", name="Read folder anew").click()
    page.locator("dialog").get_by_role("button", name="Read folder anew").click()
    see(page, ".notice", "screw: version 1 is loaded")


def test_who_may_only_look_gets_no_buttons_that_change_a_product(open_page: Open) -> None:
    page = open_page("products/screw", who="eye")
    see(page, ".product", "Thresholds and what they promise")
    assert page.locator(".product .button").count() == 0
    assert page.get_by_text("Train a new product").count() == 0


def test_a_first_training_from_a_folder(open_page: Open, answers: MadeUpAnswers, tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"{number}.png").write_bytes(picture(OK))
    (tmp_path / "notes.txt").write_text("no picture")
    found = list[dict[str, Any]]()

    def begin() -> dict[str, Any]:
        found[:] = [TRAINING]
        return TRAINING

    def activate() -> dict[str, Any]:
        found[:] = [{**TRAINING, "state": "active", "progress": None}]
        return {"name": "bracket", "version": TRAINING["version"]}

    answers.add("GET", "/trainings", lambda: {"trainings": found})
    answers.add("POST", "/trainings", begin, 202)
    answers.add("POST", "/activate", activate)
    page = open_page("products/+")
    name = page.locator(".training input").first
    name.fill("a bracket!")
    see(page, ".field-error", "Letters, digits")
    name.fill("bracket")
    page.locator("input[type=file]").set_input_files(tmp_path)
    see(page, "[data-testid=picture-count]", "9 pictures")
    page.get_by_role("button", name="Train", exact=True).click()
    see(page, ".training-one", "source activations: 33%")
    see(page, ".training-one", "notes.png: it is no image")
    see(page, ".log", "9 images of good parts")
    found[:] = [{**TRAINING, "state": "ready", "progress": None, "artifact": ARTIFACT}]
    for words in ("trained on 7, 2 held out", "9 pictures are few", "2.50"):
        see(page, ".report", words)
    page.get_by_role("button", name="Activate").click()
    page.wait_for_url("**/#/products/bracket")
    assert ("POST /activate", None) in answers.sent


def test_folders_that_are_dropped_keep_the_lights_of_a_part_together(
    open_page: Open, answers: MadeUpAnswers, tmp_path: Path
) -> None:
    names = [f"lot-7/part-{number}/{light}.png" for number in range(6) for light in ("top", "left")]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(picture(OK))
    (tmp_path / "lot-7" / "notes.txt").write_text("no picture")
    (tmp_path / "alone.png").write_bytes(picture(OK))
    answers.add("GET", "/trainings", {"trainings": []})
    answers.add("POST", "/trainings", TRAINING, 202)
    page = open_page("products/+")
    page.locator(".training input").first.fill("bracket")
    drop(page, ".drop", [tmp_path / "lot-7", tmp_path / "alone.png"])
    see(page, "[data-testid=picture-count]", "13 pictures")
    with page.expect_response("**/trainings"):
        page.get_by_role("button", name="Train", exact=True).click()
    assert sorted(answers.sent_to("POST /trainings")[0]) == sorted([*names, "alone.png"])


def test_regions_are_drawn_on_the_first_picture_and_go_with_the_training(
    open_page: Open, answers: MadeUpAnswers, tmp_path: Path
) -> None:
    for number in range(8):
        (tmp_path / f"{number}.png").write_bytes(picture(OK))  # 60 x 40 pixels
    answers.add("GET", "/trainings", {"trainings": []})
    answers.add("POST", "/trainings", TRAINING, 202)
    page = open_page("products/+")
    page.locator(".training input").first.fill("bracket")
    page.locator("input[type=file]").set_input_files(tmp_path)
    page.locator(".regions-of-training summary").click()
    see(page, ".regions-of-training", "Close the shape")

    def at(x: float, y: float) -> tuple[float, float]:
        drawing = page.locator(".marking svg")
        drawing.scroll_into_view_if_needed()
        box = drawing.bounding_box()
        assert box is not None
        return box["x"] + box["width"] * x / 60, box["y"] + box["height"] * y / 40

    page.mouse.move(*at(6, 4))
    page.mouse.down()
    page.mouse.move(*at(30, 20), steps=4)
    page.mouse.up()
    page.get_by_text("Look here alone").click()
    for corner in ((3, 3), (57, 3), (57, 37)):
        page.mouse.click(*at(*corner))
    page.get_by_role("button", name="Close the shape").click()
    for corner in ((10, 10), (20, 10), (20, 20), (10, 10)):  # closed by its first corner, and taken back
        page.mouse.click(*at(*corner))
    see(page, ".regions-of-training summary", "1 ignored, 2 looked at alone")
    page.get_by_role("button", name="Undo").click()
    see(page, ".regions-of-training summary", "1 ignored, 1 looked at alone")
    with page.expect_response("**/trainings"):
        page.get_by_role("button", name="Train", exact=True).click()
    (sent,) = answers.forms
    size = {"width": 60, "height": 40}
    assert json.loads(sent["ignore"]) == {**size, "polygons": [[[6, 4], [30, 4], [30, 20], [6, 20]]]}
    assert json.loads(sent["roi"]) == {**size, "polygons": [[[3, 3], [57, 3], [57, 37]]]}
    page.locator(".regions-of-training").wait_for(state="detached")  # gone with the pictures


def drop(page: Page, selector: str, paths: list[Path]) -> None:
    """Let go of files and folders over an element, as from the system's file manager."""
    box = page.locator(selector).bounding_box()
    assert box is not None
    at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    dragged = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    devtools = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        devtools.send("Input.dispatchDragEvent", {"type": kind, **at, "data": dragged})
    devtools.detach()


def test_a_training_that_failed_says_why(open_page: Open, answers: MadeUpAnswers) -> None:
    failed = {**TRAINING, "state": "failed", "reason": "the disk is full: 12 MB free", "progress": None}
    answers.add("GET", "/trainings", {"trainings": [failed]})
    page = open_page("products/+")
    page.locator(".training input").first.fill("bracket")
    see(page, ".training-one", "the disk is full")
