"""Who watches verdicts sees each one that is given, and can neither fail nor change it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from service.errors import InferenceFailed, NotReady
from service.inspection.context import InspectionContext
from service.inspection.observers import Picture as Judged
from service.inspection.observers import VerdictObserver
from service.inspection.verdict import ImageFailure, Verdict
from service.rest.verdict_view import entry_of

if TYPE_CHECKING:
    from tests.service.rest.conftest import OpenHouse, Picture


class Notebook(VerdictObserver):
    """An observer that keeps what it is told; `mood` is called on each verdict."""

    def __init__(self, name: str = "notebook", mood: Callable[[], None] = lambda: None) -> None:
        self.name = name
        self.mood = mood
        self.seen: list[tuple[Verdict, Judged]] = []
        self.failures: list[ImageFailure] = []
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")

    def on_verdict(self, verdict: Verdict, picture: Judged) -> None:
        self.mood()
        self.seen.append((verdict, picture))

    def on_failure(self, failure: ImageFailure, context: InspectionContext) -> None:
        self.mood()
        self.failures.append(failure)

    def stop(self) -> None:
        self.calls.append("stop")


def fall_over() -> None:
    raise ZeroDivisionError("not the verdict's business")


def test_an_observer_sees_the_verdict_the_picture_the_bytes_the_request_and_the_time(
    open_house: OpenHouse, picture: Picture
) -> None:
    notebook = Notebook()
    house = open_house(observers=(notebook,))
    before = time.time()
    image = picture(0.95)
    answer = house.score(image, path="/score?line=7&part_id=x1", headers={"X-Request-Id": "shift-1"}).json()
    ((verdict, judged),) = notebook.seen
    assert json.loads(entry_of(verdict).model_dump_json(exclude_none=True)) == answer["results"][0]
    assert id(judged.version) == id(house.registry.versions["screw"])
    assert [view.shape for view in judged.prepared.views] == [(3, 32, 32)]
    assert judged.data == image
    assert judged.context.request_id == "shift-1"
    assert judged.context.surface == "rest"
    assert judged.context.line.members() == {"line": "7", "part_id": "x1"}
    assert before <= judged.at <= time.time()
    assert house.lifecycle.components.observers == (notebook,)


def test_an_image_without_a_verdict_is_told_as_a_failure_and_never_as_a_verdict(
    open_house: OpenHouse, picture: Picture
) -> None:
    notebook = Notebook()
    house = open_house(observers=(notebook,))

    async def moody(row: Any) -> Any:
        return InferenceFailed("no") if row.image.mean() > 0.5 else await house.engine.brightness(row)

    house.engine.answer = moody
    house.score(picture(0.1), picture(0.9), b"no image")
    assert [verdict.index for verdict, _ in notebook.seen] == [0]
    assert [(one.index, one.error.code) for one in notebook.failures] == [
        (1, "inference_failed"),
        (2, "image_unreadable"),
    ]
    assert notebook.failures[0].times.decode > 0
    assert notebook.failures[1].times.decode == 0


def test_an_observer_that_raises_is_counted_and_changes_no_verdict_and_no_other_observer(
    open_house: OpenHouse, picture: Picture, caplog: pytest.LogCaptureFixture
) -> None:
    broken, notebook = Notebook("broken", fall_over), Notebook()
    house = open_house(observers=(broken, notebook))
    for brightness, decision in [(0.1, "OK"), (0.95, "NG")]:
        answer = house.score(picture(brightness))
        assert answer.status_code == 200
        assert answer.json()["results"][0]["decision"] == decision
    assert len(notebook.seen) == 2
    assert house.engine.metrics.value("mkd_observer_failures_total", observer="broken") == 2
    assert house.engine.metrics.value("mkd_observer_failures_total", observer="notebook") == 0
    said = [record for record in caplog.records if "broken" in record.getMessage()]
    assert len(said) == 1  # and not once per verdict


def test_observers_start_before_the_first_verdict_and_stop_after_the_drain(
    open_house: OpenHouse, picture: Picture
) -> None:
    notebook = Notebook()
    house = open_house(observers=(notebook,))
    assert notebook.calls == ["start"]
    stop = notebook.stop

    def after_the_drain() -> None:
        assert house.engine.drained
        stop()

    notebook.stop = after_the_drain  # type: ignore[method-assign]
    house.run(house.stack.aclose())
    assert notebook.calls == ["start", "stop"]


def test_an_observer_that_cannot_stop_keeps_nobody_from_stopping(open_house: OpenHouse) -> None:
    broken, notebook = Notebook("broken"), Notebook()
    broken.stop = fall_over  # type: ignore[method-assign]
    house = open_house(observers=(notebook, broken))
    house.run(house.stack.aclose())
    assert notebook.calls == ["start", "stop"]
    assert house.engine.metrics.value("mkd_observer_failures_total", observer="broken") == 1


def test_an_observer_that_refuses_to_start_stops_the_start(open_house: OpenHouse) -> None:
    def refuse() -> None:
        raise NotReady("no place to write to")

    picky = Notebook("picky")
    picky.start = refuse  # type: ignore[method-assign]
    with pytest.raises(NotReady, match="no place"):
        open_house(observers=(picky,))
    assert picky.calls == ["stop"]
