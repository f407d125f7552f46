"""`mkd-serve --line`: the stations in the process of the service, judged without HTTP, and both audit trails."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from benchmarks.harness.service_process import ServiceProcess
from service.errors import NotReady
from service.run.application import create_app
from service.run.check import check
from service.run.command_line import SettingsError
from service.run.line import line, read_line
from service.run.settings import Settings
from tests.e2e.gateway.plc import Plc
from tests.e2e.gateway.processes import ROOT, free_port, get, wait_for
from tests.e2e.gateway.test_plc_protocols import STATION, ModbusMaster

pytest.importorskip("pymodbus", reason="needs pymodbus: pip install 'mkdserve[modbus]'")


def audit(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "service.audit", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in audit("show", folder).stdout.splitlines()]


def line_file(folder: Path, stations: str, port: int = 0) -> tuple[Path, int]:
    port = port or free_port()
    settings = f'[gateway]\nport = {port}\nstate_dir = "{folder}/state"\naudit_folder = "{folder}/answers"\n'
    file = folder / "line.toml"
    file.write_text(settings + stations, encoding="utf-8")
    return file, port


def write_pictures(folder: Path, good: bytes, bad: bytes) -> None:
    """A good part, a bad one, the good one with a row less, one 16 times darker, and one that is no picture."""
    pixels = cv2.imdecode(np.frombuffer(good, np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    folder.mkdir()
    (folder / "1.png").write_bytes(good)
    (folder / "2.png").write_bytes(bad)
    for name, other in (("3.png", pixels[:-1]), ("4.png", pixels // 16)):
        (folder / name).write_bytes(cv2.imencode(".png", other)[1].tobytes())
    (folder / "5.png").write_bytes(b"no picture")


def test_the_stations_are_judged_by_the_service_itself_and_every_answer_is_in_the_trail(
    artifacts_folder: Path, flags: tuple[str, ...], good_images: list[bytes], bad_image: bytes, tmp_path: Path
) -> None:
    write_pictures(tmp_path / "pictures", good_images[0], bad_image)
    peer = ModbusMaster()
    stations = STATION.format(pictures=tmp_path / "pictures", link=peer.link).replace("2000", "20000")
    file, port = line_file(tmp_path, stations)
    trail = tmp_path / "verdicts"
    with ServiceProcess(artifacts_folder, *flags, "--line", str(file), "--audit-folder", str(trail)) as service:
        plc = Plc(peer.words())
        plc.put()
        parts = [plc.inspect(number) for number in range(1, 6)]
        stations_now = json.loads(get(port, "/stations"))["stations"]
        written = b'mkd_audit_records_total{outcome="written"} 5.0'
        wait_for(lambda: written in get(port, "/metrics"), "five records")
        assert audit("verify", tmp_path / "answers").returncode == 0  # while it is written
        with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=60, trust_env=False) as client:
            answers = [
                client.post("/score?product=bolt", content=image, headers={"Content-Type": "image/png"}).json()
                for image in (good_images[0], bad_image)
            ]
    peer.stop()
    for part, answer in zip(parts, answers, strict=False):
        (entry,) = answer["results"]
        assert part.decision == entry["decision"]
        assert part.score == pytest.approx(entry["score"], rel=1e-4)
    assert [part.code for part in parts] == [0, 0, 24, 24, 22]
    assert [part.decision for part in parts[2:]] == ["NG"] * 3
    assert stations_now[0]["name"] == "press"
    (said,) = {event["detail"] for event in service.events() if event.get("detail", "").startswith("bolt ")}
    assert "was calibrated on no picture of" in said

    verified = audit("verify", tmp_path / "answers", "--strict")
    assert (verified.returncode, "5 answers" in verified.stdout) == (0, True), verified.stdout
    told = records(tmp_path / "answers")
    assert [(one["trigger_id"], one["code"]) for one in told] == [(1, 0), (2, 0), (3, 24), (4, 24), (5, 22)]
    assert {one["context"]["station"] for one in told} == {"press"}
    ids = {one["request_id"] for one in records(trail) if one.get("context", {}).get("station") == "press"}
    assert {one["request_id"] for one in told if one["request_id"]} <= ids


@pytest.mark.parametrize(("text", "said"), [("[[station]]\n", "window_ms"), ("", "station"), (None, "No such file")])
def test_a_line_that_cannot_be_used_is_refused_with_words(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "line.toml"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=f"(?s)--line.*{said}"):
        create_app(Settings(line=file))
    (finding,) = [one for one in check(Settings(line=file, artifacts=tmp_path)) if "--line" in one.text]
    assert not finding.good


def test_a_line_and_several_processes_do_not_go_together(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="line needs processes = 1"):
        Settings(line=tmp_path / "line.toml", processes=2)


def test_a_port_that_is_taken_is_named_and_ends_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        file, _ = line_file(tmp_path, STATION.format(pictures=tmp_path, link='kind = "http"'), port)
        inspector: Any = None  # nothing is judged

        async def start() -> None:
            async with line(read_line(file), inspector, lambda: (True, None)):
                pytest.fail("it has started")

        with pytest.raises(NotReady, match=f"{port} cannot be had: Address already in use"):
            asyncio.run(start())
