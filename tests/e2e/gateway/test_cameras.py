"""A video file, Aravis' fake camera on the network and pylon's emulated one: good, bad, gone, and back."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.e2e.gateway.processes import PATIENCE_S, FakeJudge, GatewayProcess, wait_for
from tests.e2e.gateway.test_http_and_webhook import trigger

FAKE_CAMERA = shutil.which("arv-fake-gv-camera-0.8")
STATION = """
[[station]]
name = "press"
window_ms = 3000
recipes = {{ bolt = "bolt" }}
link = {{ kind = "http" }}
source = {{ {source} }}
"""


def judged(gateway: GatewayProcess, number: int) -> dict[str, Any]:
    """The answer to a trigger; one without a frame in time is asked for anew, as this machine may be busy."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        gateway.wait_ready()
        said = trigger(gateway, b"", number)
        if said["code"] not in (20, 21, 30):
            assert said["code"] == 0, said
            return said
    raise AssertionError(f"{said}; {gateway.text()[-3000:]}")


def test_a_video_file_gives_a_frame_a_trigger_and_then_is_gone(judge: FakeJudge, tmp_path: Path) -> None:
    file = tmp_path / "parts.avi"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 64))
    for grey in (200, 10):
        writer.write(np.full((64, 64, 3), grey, np.uint8))
    writer.release()
    with GatewayProcess(tmp_path, judge.port, STATION.format(source=f'kind = "video", source = "{file}"')) as gateway:
        gateway.wait_ready()
        assert [trigger(gateway, b"", number)["decision"] for number in (1, 2)] == ["OK", "NG"]
        gone = trigger(gateway, b"", 3)
        assert (gone["decision"], gone["code"], gone["trigger_id"]) == ("REJECT", 21, 3)


class FakeCamera:
    """Aravis' GigE Vision camera on the loopback."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert FAKE_CAMERA is not None
        command = [FAKE_CAMERA, "-i", "127.0.0.1", "-s", "MKD01"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


@pytest.fixture
def camera() -> Iterator[FakeCamera]:
    if FAKE_CAMERA is None:
        pytest.skip("needs arv-fake-gv-camera-0.8: apt-get install aravis-tools")
    made = FakeCamera()
    made.start()
    yield made
    made.stop()


FRAME_BYTES = 512 * 512
RMEM_MAX = Path("/proc/sys/net/core/rmem_max")
WIDE_ENOUGH = RMEM_MAX.exists() and int(RMEM_MAX.read_text(encoding="ascii")) >= 2 * FRAME_BYTES
MAY_GIVE_UP = os.geteuid() == 0 and shutil.which("setpriv") is not None
# As in a container: then Aravis reads an ordinary socket, whose memory is too small for a frame unless it is widened.
NO_RAW_SOCKETS = ("setpriv", "--bounding-set", "-net_raw") if MAY_GIVE_UP and WIDE_ENOUGH else ()


@pytest.mark.parametrize(("exposure_us", "decision", "prefix"), [(10000, "OK", ()), (10, "NG", NO_RAW_SOCKETS)])
def test_aravis_takes_a_fresh_frame_for_each_trigger(
    camera: FakeCamera, judge: FakeJudge, tmp_path: Path, exposure_us: int, decision: str, prefix: tuple[str, ...]
) -> None:
    source = f'kind = "aravis", camera = "Aravis-Fake-MKD01", exposure_us = {exposure_us}, pixel_format = "Mono8"'
    with GatewayProcess(tmp_path, judge.port, STATION.format(source=source), prefix=prefix) as gateway:
        gateway.wait_ready()
        for number in range(1, 4):
            said = judged(gateway, number)
            assert (said["decision"], said["trigger_id"]) == (decision, number)


def test_aravis_finds_a_camera_again_that_was_unplugged(camera: FakeCamera, judge: FakeJudge, tmp_path: Path) -> None:
    source = 'kind = "aravis", camera = "Aravis-Fake-MKD01", exposure_us = 10000'
    with GatewayProcess(tmp_path, judge.port, STATION.format(source=source)) as gateway:
        gateway.wait_ready()
        assert judged(gateway, 1)["ok"]
        camera.stop()
        said = trigger(gateway, b"", 2)
        assert (said["ok"], said["code"] in (20, 21)) == (False, True)
        if said["code"] == 20:
            wait_for(lambda: "of frames before: 1 complete" in gateway.text(), "the stream's counts")
        wait_for(lambda: not gateway.station()["ready"], "the loss of the camera")
        camera.start()
        gateway.wait_ready()
        assert judged(gateway, 3)["ok"]
        lost = 'mkd_line_reconnections_total{peer="camera",station="press"}'
        assert gateway.metric(lost) >= 1


def test_pylons_emulated_camera(judge: FakeJudge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pypylon", reason="needs pypylon: pip install 'mkdserve[camera-basler]'")
    monkeypatch.setenv("PYLON_CAMEMU", "1")
    for name, grey in (("good", 200), ("bad", 10)):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "1.png"), np.full((256, 256), grey, np.uint8))
    for name, decision in (("good", "OK"), ("bad", "NG")):
        features = f'{{ TestImageSelector = "Off", ImageFileMode = "On", ImageFilename = "{tmp_path}/{name}" }}'
        source = f'kind = "pylon", pixel_format = "Mono8", exposure_us = 1000, features = {features}'
        with GatewayProcess(tmp_path, judge.port, STATION.format(source=source)) as gateway:
            gateway.wait_ready()
            assert [judged(gateway, number)["decision"] for number in (1, 2)] == [decision, decision]


def test_a_grab_that_fails_is_never_judged(judge: FakeJudge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pypylon", reason="needs pypylon: pip install 'mkdserve[camera-basler]'")
    monkeypatch.setenv("PYLON_CAMEMU", "1")
    features = '{ ForceFailedBufferCount = "1", ForceFailedBuffer = "1" }'
    source = f'kind = "pylon", pixel_format = "Mono8", features = {features}'
    with GatewayProcess(tmp_path, judge.port, STATION.format(source=source)) as gateway:
        gateway.wait_ready()
        said = trigger(gateway, b"", 1)
        assert (said["decision"], said["code"]) == ("REJECT", 22)
        gateway.wait_ready()
        assert trigger(gateway, b"", 2)["code"] == 0
