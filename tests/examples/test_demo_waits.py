"""The demo waits for its service as long as the process lives, and takes up an artifact that it has made before."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from examples import demo_service as subject
from examples.demo_made import MadeArtifact
from examples.demo_service import RunningService, ServiceFailed, wait_for

# Stands in for `python -m service`: it answers /readyz with 503 so many times first, and every picture with 429 once.
STAND_IN = """
import json, signal, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

left, refused = [{not_ready}], [1]

class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        left[0] -= 1
        self.reply(503 if left[0] >= 0 else 200, {{}})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        busy, refused[0] = refused[0], 0
        self.reply(429 if busy else 200, {{"deadline": self.headers["X-Deadline-Ms"]}})

    def reply(self, status, found):
        data = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass

if {fails}:
    sys.exit(3)
server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Answers)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
"""


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, *, not_ready: int = 0, fails: bool = False) -> None:
    """Makes `python -m service` the stand-in."""
    (folder / "service.py").write_text(STAND_IN.format(not_ready=not_ready, fails=fails))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.chdir(folder)


def test_a_service_that_is_long_in_starting_and_busy_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(subject, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(subject, "TELL_EVERY_S", 0.1)
    stand_in(tmp_path, monkeypatch, not_ready=25)
    (tmp_path / "part.png").write_bytes(b"a picture")
    with RunningService(tmp_path, tmp_path / "log") as service:
        (reply,) = service.localize("brick", [tmp_path / "part.png"])
    assert reply == {"deadline": "3600000"}
    assert service.exit_code == 0
    assert "still waiting for the service to be ready" in capsys.readouterr().out


def test_a_service_that_ends_at_its_start_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, fails=True)
    with pytest.raises(ServiceFailed, match="ended with exit code 3 at its start"):
        RunningService(tmp_path, tmp_path / "log").__enter__()


def test_waiting_has_no_end_of_its_own() -> None:
    asked = []
    pauses: list[float] = []

    def look() -> int | None:
        asked.append(1)
        return 7 if len(asked) == 10_000 else None

    assert wait_for(look, "a number", pauses.append) == 7
    assert len(pauses) == 9_999


def test_an_artifact_is_taken_up_again_only_where_the_same_command_made_it_of_the_same_pictures(
    artifacts_folder: Path, good_folder_of_bolts: Path, tmp_path: Path
) -> None:
    shutil.copytree(artifacts_folder / "bolt", tmp_path / "bolt")
    shutil.copytree(good_folder_of_bolts, tmp_path / "data" / "train" / "good")
    made = MadeArtifact(tmp_path / "bolt", tmp_path / "made.json", tmp_path / "data")
    assert not made.by(["fit", "--steps", "4"])
    made.note(["fit", "--steps", "4"])
    assert made.by(["fit", "--steps", "4"])
    assert not made.by(["fit", "--steps", "5"])
    next(iter((tmp_path / "data" / "train" / "good").iterdir())).write_bytes(b"another picture")
    assert not made.by(["fit", "--steps", "4"])
    made.note(["fit", "--steps", "4"])
    (tmp_path / "bolt" / "head.safetensors").write_bytes(b"half an artifact")
    assert not made.by(["fit", "--steps", "4"])
