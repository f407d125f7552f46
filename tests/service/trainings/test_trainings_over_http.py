"""Trainings over HTTP, with a trainer that is a script of the test; the real one is in tests/e2e."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from service.auth import new_key
from service.errors import ArtifactRefused
from service.run.settings import Settings
from service.trainings import child
from service.trainings.folder import Progress, TrainingFolder, progress_of
from service.trainings.lock import is_held
from service.trainings.trainings import Trainings
from tests.service.rest.conftest import House, OpenHouse, Picture, house, open_house, picture
from trainer.part_files import find_parts

__all__ = ["house", "open_house", "picture"]

PATH = "/products/nut/trainings"
# What the trainer does: writes an artifact in one step, goes on until it is told to end, or fails in words.
TRAINER = """
import os, pathlib, sys, time
given = dict(zip(sys.argv[3::2], sys.argv[4::2]))
pictures, how = pathlib.Path(sys.argv[2]), os.environ["TRAINER_DOES"]
print("fit: 3 of 10 loss 0.1", flush=True)
print("nice", os.nice(0), os.sched_getscheduler(0) == os.SCHED_IDLE, "MKD_API_KEYS" in os.environ, flush=True)
regions = {flag: pathlib.Path(given[flag]).read_bytes() for flag in ("--roi", "--ignore") if flag in given}
print("regions", regions, flush=True)
out = pathlib.Path(given["--out"], given["--product"], given["--version"])
if how == "endless":
    (pictures.parent / "out").mkdir()
    (pictures.parent / "out" / "half").write_text("half")
    time.sleep(600)
if how == "fails":
    sys.exit("error: the pictures are all the same")
if how == "dies":
    os.kill(os.getpid(), 9)
if how == "fills":
    (pictures.parent / "filled").write_bytes(b"0" * 10**7)
if how == "nothing":
    sys.exit(0)
out.mkdir(parents=True)
(out / "manifest.json").write_text(str(sorted(p.name for p in pictures.iterdir())))
"""


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Says what the trainer of the next training does."""
    (tmp_path / "trainer.py").write_text(TRAINER, encoding="utf-8")

    def does(what: str) -> None:
        monkeypatch.setenv("TRAINER_DOES", what)

    does("trains")
    return does


@pytest.fixture
def site(open_house: OpenHouse, tmp_path: Path, trainer: Callable[[str], None]) -> Iterator[House]:
    """A service whose trainer is the script."""
    (tmp_path / "artifacts").mkdir()
    made = house_of(open_house, tmp_path)
    yield made
    made.run(trainings_of(made).stop_own())


def house_of(open_house: OpenHouse, folder: Path, **settings: Any) -> House:
    made = open_house(artifacts=folder / "artifacts", **settings)
    trainings_of(made).options = replace(
        trainings_of(made).options, trainer=(sys.executable, str(folder / "trainer.py"))
    )
    return made


def trainings_of(house: House) -> Trainings:
    found = house.lifecycle.state["trainings"]
    assert found is not None
    return found


def send(house: House, picture: Picture, count: int = 9, query: str = "", **options: Any) -> httpx.Response:
    files = [("image", (f"{number}.png", picture(number / 20))) for number in range(count)]
    return house.post(f"{PATH}{query}", files=files, **options)


def over(house: House, id: str) -> dict[str, Any]:
    """The training once it does not run any more."""
    while (found := house.get(f"{PATH}/{id}").json())["state"] == "running":
        time.sleep(0.05)
    return dict(found)


def saying(house: House, id: str, words: str) -> None:
    """Waits until the log has these words."""
    while not any(words in line for line in house.get(f"{PATH}/{id}").json()["log"]):
        time.sleep(0.05)


CORNER = b'{"width": 60, "height": 40, "polygons": [[[0, 0], [9, 0], [9, 9]]]}'
ALL = b'{"width": 60, "height": 40, "polygons": [[[-1, -1], [99, -1], [99, 99], [-1, 99]]]}'


def with_regions(picture: Picture, *regions: tuple[str, bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    pictures = [("image", (f"{number}.png", picture(number / 20))) for number in range(9)]
    return [*pictures, *((field, ("../../x", data)) for field, data in regions)]


def test_the_trainer_is_told_which_places_are_looked_at(site: House, picture: Picture) -> None:
    answer = site.post(PATH, files=with_regions(picture, ("roi", ALL), ("ignore", CORNER)))
    assert answer.status_code == 202, answer.text
    saying(site, answer.json()["id"], f"regions {{'--roi': {ALL!r}, '--ignore': {CORNER!r}}}")
    assert over(site, answer.json()["id"])["pictures"] == 9


@pytest.mark.parametrize(
    ("regions", "words"),
    [
        ([("ignore", ALL)], "ignore: the mask leaves nothing to look at"),
        ([("roi", b'{"width": 60}')], "roi: polygons are"),
        ([("roi", CORNER), ("roi", CORNER)], "'roi' came twice"),
        ([("roi", CORNER), ("ignore", CORNER.replace(b"60", b"61"))], "two sizes: 60 x 40 and 61 x 40"),
        ([("mask", CORNER)], "'mask' is not known"),
    ],
)
def test_regions_that_cannot_be_used_refuse_the_training(
    site: House, picture: Picture, regions: list[tuple[str, bytes]], words: str
) -> None:
    answer = site.post(PATH, files=with_regions(picture, *regions))
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")
    assert words in answer.json()["detail"]
    assert site.get(PATH).json() == {"trainings": []}


def test_regions_are_not_counted_among_the_pictures(open_house: OpenHouse, picture: Picture, tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "trainer.py").write_text(TRAINER, encoding="utf-8")
    site = house_of(open_house, tmp_path, training_max_images=9)
    answer = site.post(PATH, files=with_regions(picture, ("ignore", CORNER)))
    assert answer.status_code == 202, answer.text
    site.run(trainings_of(site).stop_own())


def test_pictures_become_an_artifact_that_is_served_once_it_is_activated(
    site: House, picture: Picture, tmp_path: Path
) -> None:
    answer = send(site, picture, query="?method=padim&image_size=32&version=7")
    assert answer.status_code == 202, answer.text
    id = answer.json()["id"]
    found = over(site, id)
    assert (found["state"], found["reason"], found["version"], found["pictures"]) == ("ready", None, "7", 9)
    assert not list((tmp_path / "artifacts").iterdir())
    assert site.post(f"{PATH}/{id}/activate").status_code == 404  # the registry of these tests knows no nut ...
    assert not (tmp_path / "artifacts" / "nut" / "7").exists()  # ... so nothing of it stays
    assert site.get(f"{PATH}/{id}").json()["state"] == "ready"

    site.registry.versions["nut"] = site.registry.versions["screw"]
    assert site.post(f"{PATH}/{id}/activate").status_code == 200
    assert site.registry.asked[-1] == ("activate", "nut", "7")
    kept = (tmp_path / "artifacts" / "nut" / "7" / "manifest.json").read_text()
    assert kept == str([f"{number:05}.png" for number in range(9)])
    assert site.get(f"{PATH}/{id}").json()["state"] == "active"
    again = site.post(f"{PATH}/{id}/activate")
    assert (again.status_code, again.json()["code"]) == (409, "training_not_ready")


def test_an_artifact_that_is_refused_leaves_the_artifact_folder_as_it_was(
    site: House, picture: Picture, tmp_path: Path
) -> None:
    id = send(site, picture).json()["id"]
    over(site, id)
    site.registry.refuse = ArtifactRefused("its golden scores differ")
    assert site.post(f"{PATH}/{id}/activate").json()["code"] == "artifact_refused"
    assert not (tmp_path / "artifacts" / "nut" / id).exists()
    assert site.get(f"{PATH}/{id}").json()["state"] == "ready"


def test_what_is_no_image_is_refused_by_its_name_and_the_others_are_kept(site: House, picture: Picture) -> None:
    whole = picture(0.5)
    files = [("image", (f"{number}.png", picture(number / 20))) for number in range(8)]
    files += [("image", ("../../etc/passwd", b"root:x:0")), ("image", ("cut.png", whole[:-40])), ("image", ("", b""))]
    found = site.post(PATH, files=files).json()
    assert found["pictures"] == 8
    assert [(one["name"], one["code"]) for one in found["refused"]] == [
        ("passwd", "image_unreadable"),
        ("cut.png", "image_truncated"),
        (None, "image_empty"),
    ]
    assert over(site, found["id"])["state"] == "ready"


def test_folders_of_lights_become_parts_and_each_counts_once(site: House, picture: Picture, tmp_path: Path) -> None:
    names = [f"good/part-{number}/{light}.png" for number in range(9) for light in ("left", "Right")]
    files = [("image", (name, picture(number / 40))) for number, name in enumerate(names)]
    few = site.post(PATH, files=files[:14])
    assert (few.status_code, few.json()["code"]) == (422, "too_few_pictures")
    found = site.post(PATH, files=files).json()
    assert found["pictures"] == 9
    kept = tmp_path / "artifacts.trainings" / "nut" / found["id"] / "pictures"
    as_the_trainer_reads_them = find_parts(kept)
    assert len(as_the_trainer_reads_them.paths) == 9
    assert {group.name for group in as_the_trainer_reads_them.groups} == {"left", "Right"}


def test_the_trainer_yields_to_the_service_and_sees_no_keys(
    site: House, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MKD_API_KEYS", "secret")
    log = over(site, send(site, picture).json()["id"])["log"]
    assert log[1] == "nice 19 True False"


def test_progress_and_log_are_told_while_it_runs_and_delete_stops_it_without_a_trace(
    site: House, picture: Picture, tmp_path: Path, trainer: Callable[[str], None]
) -> None:
    trainer("endless")
    id = send(site, picture).json()["id"]
    saying(site, id, "nice")
    found = site.get(f"{PATH}/{id}").json()
    assert (found["state"], found["progress"]) == ("running", {"stage": "fit", "done": 3, "total": 10})
    stopped = site.run(site.client.delete(f"{PATH}/{id}")).json()
    assert (stopped["state"], stopped["reason"], stopped["progress"]) == ("stopped", "stopped", None)
    folder = tmp_path / "artifacts.trainings" / "nut" / id
    assert sorted(each.name for each in folder.iterdir()) == ["log.txt", "record.json", "stop"]
    assert not list((tmp_path / "artifacts").iterdir())
    assert site.run(site.client.delete(f"{PATH}/{id}")).status_code == 200
    assert site.get(f"{PATH}/{id}").json()["code"] == "training_not_found"
    assert not folder.exists()


def test_one_training_runs_at_a_time_over_all_processes(
    site: House, picture: Picture, open_house: OpenHouse, tmp_path: Path, trainer: Callable[[str], None]
) -> None:
    trainer("endless")
    id = send(site, picture).json()["id"]
    other = house_of(open_house, tmp_path)
    for each in (site, other):
        refused = send(each, picture)
        assert (refused.status_code, refused.json()["code"]) == (409, "training_running")
    assert other.get(PATH).json()["trainings"][0]["state"] == "running"
    assert other.run(other.client.delete(f"{PATH}/{id}")).json()["state"] == "stopped"
    trainer("trains")
    assert over(other, send(other, picture).json()["id"])["state"] == "ready"


def test_a_training_that_fails_says_why(
    site: House, picture: Picture, tmp_path: Path, trainer: Callable[[str], None]
) -> None:
    reasons = {
        "fails": "the pictures are all the same",
        "dies": "was killed, perhaps for want of memory",
        "nothing": "without an artifact",
    }
    for what, reason in reasons.items():
        trainer(what)
        answer = send(site, picture)
        assert "id" in answer.json(), answer.text
        found = over(site, answer.json()["id"])
        assert (found["state"], found["artifact"]) == ("failed", None)
        assert reason in found["reason"]
        refused = site.post(f"{PATH}/{found['id']}/activate")
        assert (refused.status_code, refused.json()["code"]) == (409, "training_not_ready")
    assert not list((tmp_path / "artifacts").iterdir())


def test_a_training_whose_process_is_gone_is_found_failed_by_the_next_service(
    site: House, picture: Picture, open_house: OpenHouse, tmp_path: Path, trainer: Callable[[str], None]
) -> None:
    trainer("endless")
    id = send(site, picture).json()["id"]
    saying(site, id, "nice")
    running = psutil.Process(trainings_of(site)._child.pid)  # type: ignore[union-attr]
    for each in (*running.children(), running):
        each.send_signal(signal.SIGKILL)
    next_one = house_of(open_house, tmp_path)
    while is_held(tmp_path / "artifacts.trainings" / ".lock"):
        time.sleep(0.02)
    found = next_one.get(f"{PATH}/{id}").json()
    assert (found["state"], "killed" in found["reason"]) == ("failed", True)
    trainer("trains")
    assert over(next_one, send(next_one, picture).json()["id"])["state"] == "ready"
    states = [one["state"] for one in next_one.get(PATH).json()["trainings"]]
    assert states == ["ready", "failed"]
    assert not (tmp_path / "artifacts.trainings" / "nut" / id / "pictures").exists()


def test_a_service_that_is_shut_down_stops_what_it_has_started(
    site: House, picture: Picture, open_house: OpenHouse, tmp_path: Path, trainer: Callable[[str], None]
) -> None:
    trainer("endless")
    id = send(site, picture).json()["id"]
    saying(site, id, "nice")
    site.run(site.stack.aclose())
    found = house_of(open_house, tmp_path).get(f"{PATH}/{id}").json()
    assert (found["state"], found["reason"]) == ("stopped", "the service was shut down")


def test_a_disk_that_fills_leaves_a_clear_state_and_no_half_artifact(
    site: House, picture: Picture, tmp_path: Path, trainer: Callable[[str], None]
) -> None:
    trainer("fills")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, hard))  # inherited by the trainer
    try:
        answer = send(site, picture)
        assert "id" in answer.json(), answer.text
        found = over(site, answer.json()["id"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert found["state"] == "failed"
    assert "File too large" in "\n".join(found["log"])
    assert not list((tmp_path / "artifacts").iterdir())


def test_a_disk_that_fills_while_pictures_arrive_is_told_and_nothing_of_them_stays(
    site: House, picture: Picture, tmp_path: Path
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60, hard))
    try:
        refused = send(site, picture)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (refused.status_code, refused.json()["code"]) == (507, "disk_full")
    assert not (tmp_path / "artifacts.trainings" / "nut").exists()
    assert over(site, send(site, picture).json()["id"])["state"] == "ready"


def test_more_bytes_than_the_disk_has_are_refused_before_any_comes(
    site: House, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1 << 20})
    monkeypatch.setattr("service.trainings.trainings.shutil.disk_usage", lambda _: usage)
    assert send(site, picture).json()["code"] == "disk_full"


@pytest.mark.parametrize(
    ("settings", "count", "code"),
    [
        ({"training_max_images": 8}, 9, "too_many_images"),
        ({}, 7, "too_few_pictures"),
    ],
)
def test_too_many_and_too_few_pictures_are_refused_and_nothing_stays(
    open_house: OpenHouse, tmp_path: Path, picture: Picture, settings: dict[str, Any], count: int, code: str
) -> None:
    house = open_house(artifacts=tmp_path / "artifacts", **settings)
    assert send(house, picture, count).json()["code"] == code
    assert not (tmp_path / "artifacts.trainings" / "nut").exists()


def test_a_body_over_the_limit_is_refused_before_it_is_read(
    open_house: OpenHouse, tmp_path: Path, picture: Picture
) -> None:
    house = open_house(artifacts=tmp_path / "artifacts", training_max_mb=1)
    refused = house.post(PATH, files=[("image", ("a.png", b"0" * (2 << 20)))])
    assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")
    assert not (tmp_path / "artifacts.trainings").exists()


def test_a_parameter_that_is_not_as_documented_starts_nothing(site: House, picture: Picture, tmp_path: Path) -> None:
    wrong = {
        "?method=magic": "is none of auto",
        "?image_size=33": "32",
        "?version=../1": "version",
        "?epochs=3": "epochs",
        "?ng_rate=2": "ng_rate",
    }
    for query, words in wrong.items():
        refused = send(site, picture, query=query)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_parameter")
        assert words in refused.json()["detail"]
    assert not (tmp_path / "artifacts.trainings").exists()


def test_a_plain_artifact_and_a_version_that_is_there_are_never_replaced(
    site: House, picture: Picture, tmp_path: Path
) -> None:
    plain, versions = tmp_path / "artifacts" / "plain", tmp_path / "artifacts" / "nut" / "1"
    for folder in (plain, versions):
        folder.mkdir(parents=True)
        (folder / "manifest.json").touch()
    files = [("image", (f"{number}.png", picture(number / 20))) for number in range(8)]
    assert site.post("/products/plain/trainings", files=files).json()["code"] == "training_refused"
    assert site.post(f"{PATH}?version=1", files=files).json()["code"] == "training_refused"
    assert site.post(f"{PATH}?version=2", files=files).status_code == 202


def test_another_form_of_body_is_refused(site: House, picture: Picture) -> None:
    refused = site.post(PATH, content=picture(0.2), headers={"Content-Type": "image/png"})
    assert (refused.status_code, refused.json()["code"]) == (415, "unsupported_body")


def test_without_the_extras_of_the_trainer_it_says_what_to_install(
    site: House, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "NEEDED", ("trainer", "no_such_package"))
    refused = send(site, picture)
    assert (refused.status_code, refused.json()["code"]) == (503, "trainings_off")
    assert "no_such_package" in refused.json()["detail"]
    assert "mkdserve[train]" in refused.json()["detail"]


def test_switched_off_it_says_so(open_house: OpenHouse, picture: Picture, tmp_path: Path) -> None:
    house = open_house(artifacts=tmp_path, training_folder="off")
    assert send(house, picture).json()["code"] == "trainings_off"
    assert Settings(artifacts=tmp_path, training_folder=tmp_path / "t").trainings_folder == tmp_path / "t"


def test_a_folder_that_cannot_be_made_is_told(open_house: OpenHouse, picture: Picture, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    house = open_house(artifacts=tmp_path / "artifacts", training_folder=tmp_path / "file" / "trainings")
    refused = send(house, picture)
    assert (refused.status_code, refused.json()["code"]) == (503, "trainings_off")
    assert str(tmp_path / "file") in refused.json()["detail"]


def test_an_artifact_folder_that_cannot_be_written_is_told_before_the_upload(
    site: House, picture: Picture, tmp_path: Path
) -> None:
    (tmp_path / "artifacts" / "nut").write_text("in the way of a folder")
    refused = send(site, picture, count=1)  # too few: the pictures are not looked at
    assert (refused.status_code, refused.json()["code"]) == (503, "trainings_off")
    assert f"could not be activated: {tmp_path}/artifacts/nut is a file" in refused.json()["detail"]
    assert not list((tmp_path / "artifacts.trainings").rglob("*.png"))


def test_only_administrators_train(open_house: OpenHouse, picture: Picture, tmp_path: Path) -> None:
    secret, key = new_key("line", ["infer", "metrics"])
    house = open_house(artifacts=tmp_path / "artifacts", api_keys=key.line())
    for answer in (
        send(house, picture, headers={"X-API-Key": secret}),
        house.get(PATH, headers={"X-API-Key": secret}),
        house.post(f"{PATH}/1/activate", headers={"X-API-Key": secret}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert not (tmp_path / "artifacts.trainings").exists()


def test_a_web_page_of_another_origin_starts_nothing(site: House, picture: Picture) -> None:
    refused = send(site, picture, headers={"Origin": "http://elsewhere.example"})
    assert (refused.status_code, refused.json()["code"]) == (403, "foreign_request")


def test_a_log_is_read_from_its_end_and_without_control_characters(tmp_path: Path) -> None:
    folder = TrainingFolder(tmp_path)
    assert folder.tail() == []
    folder.log.write_bytes(b"x" * 10**6 + b"\nfit: 1 of 4 a\x1b[31m\nfit: 2 of 4\n\xff\n")
    lines = folder.tail()
    assert lines[-3:] == ["fit: 1 of 4 a[31m", "fit: 2 of 4", "\ufffd"]
    assert len("".join(lines)) <= 16 << 10
    assert progress_of(lines) == Progress("fit", 2, 4)
    assert progress_of(["nothing of the kind"]) is None


def test_old_trainings_make_room_for_new_ones(
    site: House, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.trainings.all_folders.KEPT", 2)
    ids = []
    for _ in range(4):
        ids.append(send(site, picture).json()["id"])
        over(site, ids[-1])
    assert len(set(ids)) == 4
    assert [one["id"] for one in site.get(PATH).json()["trainings"]] == ids[:0:-1]


def test_a_record_that_cannot_be_read_is_no_training(site: House, tmp_path: Path) -> None:
    folder = tmp_path / "artifacts.trainings" / "nut" / "1"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(json.dumps({"id": "1"}))
    assert site.get(PATH).json() == {"trainings": []}
    assert site.get(f"{PATH}/1").json()["code"] == "training_not_found"
    assert os.listdir(folder) == ["record.json"]
