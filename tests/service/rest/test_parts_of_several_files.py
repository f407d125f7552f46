"""The files of one part, one for each light, are one verdict; what is wrong with a part stays with it."""

from __future__ import annotations

import base64
import io
import json
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from models.imaging.channels import ChannelGroup
from models.imaging.preprocess import Preprocessing
from models.imaging.stack import StackFile, as_stack
from service.feedback.observer import FeedbackObserver
from service.feedback.settings import FeedbackSettings
from service.inspection.observers import Picture as Judged
from service.inspection.observers import VerdictObserver
from service.inspection.verdict import Verdict
from service.picture_kind import kind_of

if TYPE_CHECKING:
    from tests.service.rest.conftest import FakeEngine, FakeRegistry, FakeVersion, House, OpenHouse

SEEN = Preprocessing(image_size=32, version=2, groups=(ChannelGroup(name="left"), ChannelGroup(name="right")))


def grey(share: float) -> bytes:
    return cv2.imencode(".png", np.full((32, 32), round(255 * share), np.uint8))[1].tobytes()


class Kept(VerdictObserver):
    """Remembers what was judged."""

    name = "kept"

    def __init__(self) -> None:
        self.seen: list[tuple[Verdict, Judged]] = []

    def on_verdict(self, verdict: Verdict, picture: Judged) -> None:
        self.seen.append((verdict, picture))


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def lit(open_house: OpenHouse, fake_registry: type[FakeRegistry], fake_version: type[FakeVersion], kept: Kept) -> House:
    """An application with a product of two lights, whose score is the brightness of a group."""
    return open_house(registry=fake_registry(fake_version(preprocessing=SEEN)), observers=(kept,))


def form(*files: tuple[str, bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("image", file) for file in files]


def told(results: list[dict[str, Any]]) -> list[tuple[object, ...]]:
    return [
        (one.get("filename"), one.get("decision"), one.get("group"), one.get("error", {}).get("code"))
        for one in results
    ]


def test_files_without_a_folder_are_one_part(lit: House, kept: Kept) -> None:
    (entry,) = lit.post("/score", files=form(("left.png", grey(0.1)), ("right.png", grey(0.9)))).json()["results"]
    assert (entry["decision"], entry["group"], entry["index"]) == ("NG", "right", 0)
    assert "filename" not in entry
    assert len(lit.engine.judged) == 2
    ((_, picture),) = kept.seen
    assert picture.data == as_stack([StackFile("left.png", grey(0.1)), StackFile("right.png", grey(0.9))])
    assert kind_of(picture.data) == (".tar", "application/x-tar")


def test_folders_are_parts_and_each_fault_is_of_its_part_alone(lit: House) -> None:
    dark, bright = grey(0.1), grey(0.9)
    both = cv2.imencode(".png", np.zeros((32, 32, 3), np.uint8))[1].tobytes()
    answer = lit.post(
        "/score",
        files=form(
            ("a/left.png", dark),
            ("b/left.png", bright),
            ("whole.png", both),
            ("x/b/right.png", dark),
            ("a/right.png", dark),
            ("c/left.png", dark),
            ("d/left.png", dark),
            ("d/LEFT.png", dark),
            ("e/left.png", dark),
            ("e/ring.png", dark),
            ("e/right.png", dark),
            ("f\\left.png", dark),
            ("f\\right.png", b"none"),
        ),
    )
    assert told(answer.json()["results"]) == [
        ("a", "OK", "left", None),
        ("b", "NG", "left", None),
        ("whole.png", None, None, "image_channels_unexpected"),
        ("c", None, None, "image_channels_missing"),
        ("d", None, None, "image_channel_repeated"),
        ("e", None, None, "image_channel_unknown"),
        ("f", None, None, "image_unreadable"),
    ]
    assert lit.engine.admission.images == 0


def test_names_in_json_are_read_likewise(lit: House) -> None:
    files = [("p/left.png", grey(0.9)), ("p/right.png", grey(0.1))]
    images = [{"name": name, "data": base64.b64encode(data).decode()} for name, data in files]
    assert told(lit.post("/score", json={"images": images}).json()["results"]) == [("p", "NG", "left", None)]
    images[0]["data"] = "?"
    assert told(lit.post("/score", json={"images": images}).json()["results"]) == [
        ("p", None, None, "image_base64_invalid")
    ]


def test_the_overlay_shows_the_light_that_decided(lit: House) -> None:
    answer = lit.post(
        "/localize?overlay=outline", files=form(("left.png", grey(0.2)), ("right.png", grey(0.3)))
    ).json()["results"][0]
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(answer["overlay"]), np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    assert answer["group"] == "right"
    assert set(shown.ravel().tolist()) == {round(255 * 0.3)}


def test_every_group_of_a_part_counts_for_admission(
    open_house: OpenHouse,
    fake_engine: type[FakeEngine],
    fake_registry: type[FakeRegistry],
    fake_version: type[FakeVersion],
) -> None:
    house = open_house(
        engine=fake_engine(max_images=3),
        registry=fake_registry(fake_version(preprocessing=SEEN)),
        max_images=3,
        max_waiting_images=3,
    )
    stack = as_stack([StackFile("left.png", grey(0.1)), StackFile("right.png", grey(0.1))])
    assert told(house.score(stack).json()["results"]) == [("0.png", "OK", "left", None)]
    assert house.score(stack, stack, stack).json()["code"] == "too_many_images"
    assert house.engine.admission.images == 0


def test_a_product_without_groups_judges_files_one_by_one_and_says_what_it_takes(house: House) -> None:
    stack = as_stack([StackFile("left.png", grey(0.1))])
    files = form(("p/left.png", grey(0.1)), ("p/right.png", grey(0.9)), ("p.tar", stack))
    results = house.post("/score", files=files).json()["results"]
    assert told(results) == [
        ("left.png", "OK", None, None),
        ("right.png", "NG", None, None),
        ("p.tar", None, None, "image_channels_unexpected"),
    ]
    assert "1 channel (grey) or 3 (RGB)" in results[2]["error"]["detail"]


def test_a_kept_part_is_shown_by_its_first_light_or_by_the_one_that_decided(
    open_house: OpenHouse,
    fake_engine: type[FakeEngine],
    fake_registry: type[FakeRegistry],
    fake_version: type[FakeVersion],
    tmp_path: Path,
) -> None:
    engine = fake_engine()
    store = FeedbackObserver(FeedbackSettings(folder=tmp_path), engine.metrics)
    house = open_house(engine=engine, registry=fake_registry(fake_version(preprocessing=SEEN)), observers=(store,))
    house.post("/score", files=form(("p/left.png", grey(0.2)), ("p/right.png", grey(0.9))))
    while engine.metrics.value("mkd_feedback_verdicts_total", outcome="stored") < 1:
        time.sleep(0.01)
    received = house.get("/verdicts/1/picture")
    stack = as_stack([StackFile("left.png", grey(0.2)), StackFile("right.png", grey(0.9))])
    assert (received.content, received.headers["content-type"]) == (stack, "application/x-tar")
    assert house.get("/verdicts/1/localization").json()["group"] == "right"
    assert house.get("/verdicts").json()["verdicts"][0]["filename"] == "p"

    def shown(query: str) -> int:
        png = np.frombuffer(house.get(f"/verdicts/1/picture?{query}").content, np.uint8)
        pixels = cv2.imdecode(png, cv2.IMREAD_COLOR)
        assert pixels is not None
        return int(pixels.max()) if pixels.min() == pixels.max() else -1

    assert shown("form=shown") == shown("form=png") == round(0.2 * 255)
    assert shown("form=shown&group=right") == round(0.9 * 255)
    house.registry.versions.clear()
    assert house.get("/verdicts/1/picture?form=shown&group=right").status_code == 409


def archive(*files: tuple[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def streamed(house: House, data: bytes) -> list[dict[str, Any]]:
    answer = house.post("/score/stream", content=data, headers={"Content-Type": "application/x-tar"})
    return [json.loads(line) for line in answer.text.splitlines()]


def test_a_stream_takes_parts_as_folders(lit: House) -> None:
    dark, bright = grey(0.1), grey(0.9)
    *lines, last = streamed(
        lit,
        archive(
            ("a/left.png", dark),
            ("a/right.png", dark),
            ("b/right.png", bright),
            ("b/left.png", dark),
            ("c/left.png", dark),
            ("alone.png", dark),
            ("d/left.png", dark),
            ("d/ring.png", dark),
            ("d/right.png", dark),
            ("left.png", dark),
            ("right.png", bright),
        ),
    )
    assert told(lines) == [
        ("a", "OK", "left", None),
        ("b", "NG", "right", None),
        ("c", None, None, "image_channels_missing"),
        ("alone.png", None, None, "image_channels_missing"),
        ("d", None, None, "image_channel_unknown"),
        (None, "NG", "right", None),
    ]
    assert [line["index"] for line in lines] == list(range(6))
    assert last["end"] == {**last["end"], "complete": True, "images": 6, "verdicts": 3}
    assert lit.engine.admission.images == 0
    assert lit.engine.admission.size == 0


def test_a_stream_that_ends_within_a_part_leaves_that_part_unjudged(lit: House) -> None:
    whole = archive(("a/left.png", grey(0.1)), ("a/right.png", grey(0.1)), ("b/left.png", grey(0.1)))
    *lines, last = streamed(lit, whole[: 5 * 512 + 40])
    assert told(lines)[0] == ("a", "OK", "left", None)
    assert told(lines)[1][:2] == ("b", None)
    assert last["end"]["complete"] is False
    assert lit.engine.admission.size == 0


def test_the_files_of_a_streamed_part_have_one_limit_together(
    open_house: OpenHouse, fake_registry: type[FakeRegistry], fake_version: type[FakeVersion]
) -> None:
    size = len(grey(0.1))
    house = open_house(registry=fake_registry(fake_version(preprocessing=SEEN)), max_image_bytes=size + 10)
    lines = streamed(house, archive(("a/left.png", grey(0.1)), ("a/right.png", grey(0.1)), ("b.png", grey(0.1))))
    assert told(lines[:-1])[0] == ("a", None, None, "image_too_many_bytes")
    assert told(lines[:-1])[1] == ("b.png", None, None, "image_channels_missing")
    assert house.engine.admission.size == 0


def test_a_tensor_has_all_channels_of_the_groups(lit: House) -> None:
    pixels = np.zeros((1, 8, 8, 2), np.uint8)
    pixels[..., 1] = 230
    for data, shape in ((pixels, [1, 8, 8, 2]), (pixels.transpose(0, 3, 1, 2), [1, 2, 8, 8])):
        tensor = {"name": "image", "datatype": "UINT8", "shape": shape, "data": data.ravel().tolist()}
        asked = [{"name": name} for name in ("decision", "group")]
        answer = lit.post("/v2/models/screw/infer", json={"inputs": [tensor], "outputs": asked})
        found = {one["name"]: one["data"] for one in answer.json()["outputs"]}
        assert found == {"decision": ["NG"], "group": ["right"]}
    three = {"name": "image", "datatype": "UINT8", "shape": [1, 8, 8, 3], "data": [0] * 192}
    refused = lit.post("/v2/models/screw/infer", json={"inputs": [three]})
    assert refused.status_code == 400
    assert "with 2 channels; it is [1, 8, 8, 3]" in refused.json()["error"]
