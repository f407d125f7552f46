"""The light drifts, people confirm what is rejected, and thresholds that keep their promise come of it: on real tiles.

The tiles are those of the magnetic-tile set, where MKD_TILES names its folder or it lies beside the repository.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import httpx
import numpy as np
import pytest
from scipy import stats

from benchmarks.harness.service_process import ROOT, ServiceProcess
from models.sources.weights import SourceWeightsError, load_source_weights
from service.audit.__main__ import main as audit_command
from service.audit.audit_record import Record, opened
from service.audit.files import chain_files, chain_folders, lines
from trainer.__main__ import main as mkd_train

TILES = Path(os.environ.get("MKD_TILES", ROOT.parent / "shared" / "data" / "magnetic_tile"))
TRAINED, INSPECTED, FRESH, DEFECTS = 250, 300, 300, 12
GAIN, OFFSET = 1.2, 10.0  # of the lamp, from the first part that is inspected on
PROMISED, REVIEW_PROMISED = 0.01, 0.05
AT_ONCE = 20
FLAGS = ("--max-batch", "16", "--torch-threads", "1", "--decode-threads", "1", "--watch-s", "0", "--max-images", "32")


@pytest.fixture(scope="module")
def tiles() -> list[Path]:
    """Good tiles, shuffled, so that no order of theirs is taken for drift."""
    found = sorted(TILES.glob("t*/good/*.png"))
    if len(found) < TRAINED + INSPECTED + FRESH:
        pytest.skip(f"needs the magnetic-tile set, which is not at {TILES}")
    random.Random(0).shuffle(found)
    return found


@pytest.fixture(scope="module")
def lite0_weights() -> None:
    """Skips where the source's weights are not at hand."""
    try:
        load_source_weights("efficientnet-lite0")
    except SourceWeightsError as error:
        pytest.skip(f"needs EfficientNet-Lite0: {str(error).splitlines()[0]}")


class Inspected(NamedTuple):
    """How parts were judged."""

    scores: list[float]
    decisions: Counter[str]


class Line:
    """The station, the reviewer and the administrator of one product, by HTTP."""

    def __init__(self, client: httpx.Client, defective: frozenset[str]) -> None:
        self.client = client
        self.defective = defective
        self.sent = 0

    def inspect(self, files: Sequence[Path]) -> Inspected:
        """Send the parts under the drifted light, and wait until all are stored."""
        entries: list[dict[str, Any]] = []
        for start in range(0, len(files), AT_ONCE):
            some = files[start : start + AT_ONCE]
            answer = self.client.post("/score", files=[("image", (each.name, drifted(each))) for each in some])
            assert answer.status_code == 200, answer.text
            entries += answer.json()["results"]
        self.sent += len(entries)
        while self.get("/verdicts?limit=1")["verdicts"][0]["id"] < self.sent:
            time.sleep(0.05)
        return Inspected([one["score"] for one in entries], Counter(one["decision"] for one in entries))

    def review(self, most: int | None = None) -> Counter[str]:
        """Judge what waits, as somebody who knows; what was said of parts that were decided thus."""
        said: Counter[str] = Counter()
        while (queue := self.get("/reviews?limit=100"))["verdicts"]:
            for row in queue["verdicts"]:
                is_defect = row["filename"] in self.defective
                body = {"label": "defect", "class": "blowhole"} if is_defect else {"label": "good"}
                answer = self.client.post(f"/verdicts/{row['id']}/reviews", json=body)
                assert answer.status_code == 201, answer.text
                said["defect" if is_defect else f"good {row['decision']}"] += 1
                if said.total() == most:
                    return said
        return said

    def recalibrate(self) -> dict[str, Any]:
        """Propose, and wait for what comes of it."""
        answer = self.client.post("/products/tile/recalibrations", json={"max_false_reject": PROMISED})
        assert answer.status_code == 202, answer.text
        while (found := self.get(f"/products/tile/recalibrations/{answer.json()['id']}"))["state"] == "running":
            time.sleep(0.05)
        return found

    def usual_brightness(self) -> float:
        """What the drift watch of the active version compares pictures with."""
        watches = self.get("/products/tile/drift")["watches"]
        return float(next(one["calibration_median"] for one in watches if one["watched"] == "brightness"))

    def get(self, path: str) -> dict[str, Any]:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def post(self, path: str) -> dict[str, Any]:
        answer = self.client.post(path)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


def drifted(file: Path) -> bytes:
    """The tile under the lamp as it is now."""
    pixels = cv2.imread(str(file))
    assert pixels is not None
    done, encoded = cv2.imencode(".png", np.clip(pixels * GAIN + OFFSET, 0, 255).astype(np.uint8))
    assert done
    return encoded.tobytes()


def fitted(tiles: Sequence[Path], folder: Path) -> Path:
    """A folder of artifacts with PaDiM on the first tiles, as they were before the drift."""
    (folder / "good").mkdir(parents=True)
    for file in tiles[:TRAINED]:
        shutil.copy(file, folder / "good" / file.name)
    line = ["fit", str(folder / "good"), "--product", "tile", "--version", "1", "--out", str(folder / "artifacts")]
    line += ["--method", "padim", "--source", "efficientnet-lite0", "--image-size", "64", "--hold-out", "0.4"]
    assert mkd_train([*line, "--threads", "1"]) == 0
    return folder / "artifacts"


def records(folder: Path) -> Iterator[Record]:
    """All records of the audit trail, in order."""
    for chain in chain_folders(folder):
        for file in chain_files(chain):
            yield from (opened(line) for line in lines(file))


def test_the_promise_is_kept_again_after_the_light_has_drifted(
    tiles: list[Path], tmp_path: Path, lite0_weights: None
) -> None:
    artifacts, audit = fitted(tiles, tmp_path), tmp_path / "audit"
    bad = sorted(TILES.glob("test/[!g]*/*.png"))[:: 392 // DEFECTS][:DEFECTS]
    window, fresh = tiles[TRAINED : TRAINED + INSPECTED] + bad, tiles[-FRESH:]
    random.Random(1).shuffle(window)
    store = ("--feedback", str(tmp_path / "feedback"), "--spot-check-share", "0.25", "--audit-folder", str(audit))
    with (
        ServiceProcess(artifacts, *FLAGS, *store) as service,
        httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=120, trust_env=False) as client,
    ):
        line = Line(client, frozenset(file.name for file in bad))
        before = line.inspect(window)
        assert before.decisions["NG"] > 20, "the drift of the light is to reject good parts"

        dark = line.usual_brightness()
        some = line.review(most=10)
        waiting = line.recalibrate()
        assert waiting["state"] == "refused"
        assert "no judgement yet" in waiting["reason"]
        said = some + line.review()
        assert said["good NG"] + said["good REVIEW"] >= 30
        assert said["good OK"] > 20, "spot checks"

        proposal = line.recalibrate()
        assert proposal["state"] == "ready", proposal["reason"]
        assert proposal["rate_promised"] == PROMISED
        assert proposal["after"]["ng"] > proposal["before"]["ng"]
        assert proposal["held_back"]["interval"][0] <= PROMISED
        assert proposal["misses"]["blowhole"]["parts"] == said["defect"]

        applied = line.post(f"/products/tile/recalibrations/{proposal['id']}/apply")
        assert (applied["state"], applied["to_version"]) == ("applied", "2")
        assert line.get("/products/tile")["version"] == "2"
        after = line.inspect(fresh)
        assert line.usual_brightness() > 1.1 * dark, "drift is watched from the new light"
        assert line.post("/admin/products/tile/rollback")["version"] == "1"

    within = range(int(stats.binom.ppf(0.999, FRESH, PROMISED)) + 1)
    assert sum(score > proposal["before"]["ng"] for score in after.scores) not in within, "as it was before"
    assert after.decisions["NG"] in within
    assert after.decisions["NG"] + after.decisions["REVIEW"] <= stats.binom.ppf(0.999, FRESH, REVIEW_PROMISED)
    assert audit_command(["verify", str(audit)]) == 0
    steps = [record for record in records(audit) if record.kind not in ("start", "stop")]
    kinds = Counter(record.kind for record in steps)
    assert kinds == {
        "verdict": INSPECTED + DEFECTS + FRESH,
        "review": said.total(),
        "recalibration": 5,
    }
    told = [record.members for record in steps if record.kind == "recalibration"]
    assert [each["action"] for each in told] == ["proposed", "refused", "proposed", "ready", "applied"]
    last = next(record.members for record in reversed(steps) if record.kind == "verdict")
    assert told[-1]["to"] == {name: last["artifact"][name] for name in ("version", "hash")}
