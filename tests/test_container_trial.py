"""The parts of `python -m docker.trial` that need no engine: its pictures, its expectations, its options."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from docker.trial import host
from docker.trial.commands import TrialError, output, until
from docker.trial.docker_engine import arguments
from docker.trial.pictures import SIDE, good_part, png
from docker.trial.running import Mount, Setting, Status
from docker.trial.serving import USER, stopped
from docker.trial.visit import Expected, checked, decision, expected, located
from models.artifact import golden_tolerance
from models.calibration.conformal import Calibration


def result(**changes: Any) -> dict[str, Any]:
    """An answer's one result, as the service would give it."""
    right = {
        "artifact": {"version": "1"},
        "score": 1.0,
        "threshold": 3.0,
        "review_threshold": 2.0,
        "decision": "OK",
    }
    return right | changes


WHAT = Expected("trial", "1", Path("golden/000.png"), 1.0, 0.01, 1.0)


def located_result(**changes: Any) -> dict[str, Any]:
    """An answer of /localize for a made picture."""
    picture = base64.b64encode(good_part(3)).decode()
    return {"map": picture, "map_scale": {"threshold": 2.0}, "regions": []} | changes


def test_a_made_picture_is_a_png_that_others_read() -> None:
    picture = Image.open(BytesIO(good_part(3)))
    assert (picture.size, picture.mode) == ((SIDE, SIDE), "L")
    assert good_part(3) != good_part(4)


def test_what_is_expected_is_what_the_artifact_says_of_its_golden_image(artifacts_folder: Path) -> None:
    folder = next(file.parent for file in sorted(artifacts_folder.rglob("manifest.json")))
    found = expected(folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert all(one.picture.is_file() for one in found)
    assert [one.score for one in found] == [golden["score"] for golden in manifest["golden"]]
    assert [one.peak for one in found] == [golden["map_peak"] for golden in manifest["golden"]]
    assert found[0].tolerance == pytest.approx(golden_tolerance(Calibration.model_validate(manifest["calibration"])))


def test_a_right_answer_passes_and_says_so() -> None:
    assert "trial 1: OK" in checked(result(), WHAT)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"score": 1.02}, "should be 1"),
        ({"decision": "NG"}, "should be OK"),
        ({"artifact": {"version": "2"}}, "judged by version 2"),
        ({"error": {"code": "image_broken"}}, "was not judged"),
    ],
)
def test_a_wrong_answer_fails_the_trial_and_says_why(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(TrialError, match=said):
        checked(result(**changes), WHAT)


@pytest.mark.parametrize(
    ("peak", "regions", "said"),
    [
        (1.0, [], "0 regions"),
        (3.0, [{"peak": 3.01}, {"peak": 2.5}], "2 regions, peak 3.01"),
        (1.99, [{"peak": 2.001}], "1 regions"),  # at the threshold: either side
        (2.01, [], "0 regions"),
    ],
)
def test_map_and_regions_that_are_those_of_the_maker_pass(
    tmp_path: Path, peak: float, regions: list[dict[str, float]], said: str
) -> None:
    (tmp_path / "0.png").write_bytes(good_part(3))
    what = replace(WHAT, picture=tmp_path / "0.png", peak=peak)
    assert located(located_result(regions=regions), what).startswith(said)


@pytest.mark.parametrize(
    ("peak", "changes", "said"),
    [
        (3.0, {}, "0 regions, although"),
        (1.0, {"regions": [{"peak": 2.5}]}, "1 regions, although"),
        (3.0, {"regions": [{"peak": 3.3}]}, "peak is 3.3, should be 3"),
        (1.0, {"map": base64.b64encode(png([b"12", b"34"])).decode()}, r"map has \(2, 2\) pixels"),
    ],
)
def test_map_and_regions_that_are_not_fail_the_trial(
    tmp_path: Path, peak: float, changes: dict[str, Any], said: str
) -> None:
    (tmp_path / "0.png").write_bytes(good_part(3))
    with pytest.raises(TrialError, match=said):
        located(located_result(**changes), replace(WHAT, picture=tmp_path / "0.png", peak=peak))


class Stopping:
    """A service whose log, user and exit code are said."""

    def __init__(self, log: str, user: int = USER, code: int = 0) -> None:
        self._log, self._user, self._code = log, user, code

    def healthy(self) -> bool:
        return True

    def status(self) -> Status:
        return Status(self._user, 2**20)

    def terminate(self, seconds: float) -> int:
        return self._code

    def log(self) -> str:
        return self._log

    def remove(self) -> None:
        pass


IN_ORDER = 'loading\n{"event": "started"}\n{"event": "drained"}\n{"event": "stopped"}\n'


def test_a_service_that_drains_and_ends_passes() -> None:
    stopped(Stopping(IN_ORDER))


@pytest.mark.parametrize(
    ("service", "said"),
    [
        (Stopping(IN_ORDER, user=0), "as user 0"),
        (Stopping(IN_ORDER, code=143), "exit code 143"),
        (Stopping('{"event": "stopped"}\n'), "after SIGTERM the log says"),
    ],
)
def test_a_service_that_stops_otherwise_fails_the_trial(service: Stopping, said: str) -> None:
    with pytest.raises(TrialError, match=said):
        stopped(service)


@pytest.mark.parametrize(
    ("score", "review", "should"), [(4.0, 2.0, "NG"), (2.5, 2.0, "REVIEW"), (2.5, None, "OK"), (1.0, 2.0, "OK")]
)
def test_a_decision_follows_from_score_and_thresholds(score: float, review: float | None, should: str) -> None:
    assert decision(score, review, 3.0) == should


def test_a_program_that_fails_ends_the_trial_with_what_it_said() -> None:
    with pytest.raises(TrialError, match="no such thing"):
        output(["sh", "-c", "echo no such thing >&2; exit 3"])


def test_what_never_comes_true_ends_the_trial() -> None:
    with pytest.raises(TrialError, match="ready: not within"):
        until(lambda: False, "ready", 0.01)


def test_pips_addresses_reach_the_build_without_folders_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "global.index-url='https://user:secret@index.invalid/simple'\n:env:.extra-index-url='file:///srv/a https://b.invalid'"
    monkeypatch.setattr(host, "output", lambda command: f"{said}\nglobal.find-links='/srv/wheels'")
    secrets = host.pip_secrets(tmp_path)
    text = secrets["pip"].read_text(encoding="utf-8")
    assert "index-url = https://user:secret@index.invalid/simple" in text
    assert "extra-index-url = https://b.invalid\n" in text
    assert "/srv" not in text
    assert secrets["pip"].stat().st_mode & 0o077 == 0


def test_docker_starts_it_locked_down() -> None:
    found = arguments(Setting("image", {"A": "b"}, (Mount(Path("/h"), "/i"), Mount(Path("/w"), "/v", writable=True))))
    assert {"--read-only", "--cap-drop", "no-new-privileges", "A=b", "/h:/i:ro", "/w:/v"} <= set(found)


def test_the_kernels_view_of_a_process_gives_user_and_memory() -> None:
    found = Status.read(Path("/proc/self/status").read_text(encoding="ascii"))
    assert found.user == os.getuid()
    assert found.resident > 2**20
