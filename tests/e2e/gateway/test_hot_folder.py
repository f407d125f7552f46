"""The hot folder with real files: never half written, never twice, also after a kill."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from tests.e2e.gateway.processes import FakeJudge, GatewayProcess, wait_for

STATION = """
[[station]]
name = "press"
window_ms = 1000
recipes = {{ bolt = "bolt" }}
link = {{ kind = "hot_folder", folder = "{folder}", recipe = "bolt", settle_ms = 150, poll_ms = 50, watch = {watch} }}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    made.mkdir()
    return made


def said(folder: Path, where: str, name: str) -> dict[str, object]:
    """What stands beside the picture, once it is there."""
    wait_for((folder / where / name).exists, f"{where}/{name}")
    members: dict[str, object] = json.loads((folder / where / f"{name}.json").read_text(encoding="utf-8"))
    return members


def everything(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.png"))


@pytest.mark.parametrize("watch", ["true", "false"])
def test_files_go_where_their_decision_says(folder: Path, judge: FakeJudge, tmp_path: Path, watch: str) -> None:
    with GatewayProcess(tmp_path, judge.port, STATION.format(folder=folder, watch=watch)) as gateway:
        gateway.wait_ready()
        (folder / "good.png").write_bytes(b"GOOD")
        (folder / "bad.png").write_bytes(b"NG")
        (folder / "busy.png").write_bytes(b"429")
        (folder / "notes.txt").write_bytes(b"GOOD")
        assert said(folder, "ok", "good.png")["decision"] == "OK"
        assert said(folder, "ng", "bad.png")["score"] == 3.5
        refused = said(folder, "error", "busy.png")
        assert (refused["decision"], refused["code"], refused["ok"]) == ("REJECT", 32, False)
        (folder / "good.png").write_bytes(b"NG")
        assert said(folder, "ng", "good.2.png")["file"] == "good.png"
        assert (folder / "ok" / "good.png").read_bytes() == b"GOOD"
        assert (folder / "notes.txt").exists()
        assert len(everything(folder)) == 4


def test_a_file_that_is_still_written_is_not_judged(folder: Path, judge: FakeJudge, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, judge.port, STATION.format(folder=folder, watch="true")) as gateway:
        gateway.wait_ready()
        with (folder / "slow.png").open("wb") as file:
            for _ in range(10):  # the first bytes alone would be OK
                file.write(b"GO")
                file.flush()
                time.sleep(0.06)
                assert everything(folder) == ["slow.png"]
            file.seek(0)
            file.write(b"NG")
        assert said(folder, "ng", "slow.png")["decision"] == "NG"
        assert gateway.metric('mkd_line_answers_total{decision="OK",station="press"}') == 0


def test_a_kill_in_the_middle_leaves_the_file_in_error_and_judges_nothing_twice(
    folder: Path, judge: FakeJudge, tmp_path: Path
) -> None:
    stations = STATION.format(folder=folder, watch="true").replace("1000", "20000")
    with GatewayProcess(tmp_path, judge.port, stations) as gateway:
        gateway.wait_ready()
        (folder / "a.png").write_bytes(b"GOOD")
        said(folder, "ok", "a.png")
        (folder / "b.png").write_bytes(b"SLOW")
        wait_for((folder / "work" / "b.png").exists, "b.png to be taken")
        gateway.kill()
        (folder / "c.png").write_bytes(b"GOOD")
        gateway.start()
        assert said(folder, "error", "b.png")["code"] == 52
        assert said(folder, "ok", "c.png")["decision"] == "OK"
        assert everything(folder) == ["error/b.png", "ok/a.png", "ok/c.png"]


def test_a_folder_that_vanishes_is_a_lost_link_and_is_found_again(
    folder: Path, judge: FakeJudge, tmp_path: Path
) -> None:
    with GatewayProcess(tmp_path, judge.port, STATION.format(folder=folder, watch="false")) as gateway:
        gateway.wait_ready()
        shutil.rmtree(folder)
        wait_for(lambda: gateway.station()["code"] == 40 or (folder / "work").exists(), "the loss to be seen")
        folder.mkdir(exist_ok=True)
        gateway.wait_ready()
        (folder / "good.png").write_bytes(b"GOOD")
        assert said(folder, "ok", "good.png")["decision"] == "OK"
