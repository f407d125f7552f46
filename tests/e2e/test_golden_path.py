"""From a folder of good images to a report, by the commands a person would type: fit, serve, ask, look, evaluate."""

from __future__ import annotations

import base64
import io
import signal
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from PIL import Image

from benchmarks.harness.service_process import ServiceProcess
from trainer.__main__ import main

STEPS = ("--set", "steps=4", "--set", "batch_size=4")
TRAINING = ("--image-size", "32", *STEPS, "--hold-out", "0.4", "--threads", "1", "--no-forecast")


@pytest.fixture
def labelled_set(good_folder_of_bolts: Path, good_images: list[bytes], bad_image: bytes, tmp_path: Path) -> Path:
    """Good bolts to train on, six good and six blotted ones to test, in the MVTec layout."""
    files = {f"train/good/{file.name}": file.read_bytes() for file in good_folder_of_bolts.iterdir()}
    files |= {f"test/good/{number}.png": image for number, image in enumerate(good_images)}
    files |= {f"test/blot/{number}.png": bad_image for number in range(6)}
    mask = np.zeros((40, 40), np.uint8)
    cv2.circle(mask, (26, 14), 6, (255,), -1)
    files |= {f"ground_truth/blot/{number}_mask.png": cv2.imencode(".png", mask)[1].tobytes() for number in range(6)}
    for name, data in files.items():
        file = tmp_path / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return tmp_path / "data"


def test_fit_serve_ask_and_evaluate(
    labelled_set: Path, tmp_path: Path, flags: tuple[str, ...], bad_image: bytes, source_weights: object
) -> None:
    trainer("fit", str(labelled_set), "--product", "bolt", "--out", str(tmp_path / "artifacts"), *TRAINING)
    with ServiceProcess(tmp_path / "artifacts", *flags) as service:
        ask(f"http://127.0.0.1:{service.port}", bad_image)
    report = tmp_path / "report"
    trainer("evaluate", str(tmp_path / "artifacts" / "bolt"), str(labelled_set), "--out", str(report), "--threads", "1")
    pages = list(report.rglob("*.html"))
    assert pages
    assert "bolt" in pages[0].read_text(encoding="utf-8")


def ask(url: str, image: bytes) -> None:
    with httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
        scored = client.post("/score", content=image, headers={"Content-Type": "image/png"})
        assert scored.status_code == 200, scored.text
        (entry,) = scored.json()["results"]
        assert entry["product"] == "bolt"
        assert entry["decision"] in {"OK", "REVIEW", "NG"}
        located = client.post("/localize?overlay=true", content=image, headers={"Content-Type": "image/png"})
        (shown,) = located.json()["results"]
        assert shown["score"] == pytest.approx(entry["score"], rel=1e-5)
        map_ = Image.open(io.BytesIO(base64.b64decode(shown["map"])))
        assert (map_.format, map_.mode, map_.size) == ("PNG", "L", (40, 40))
        overlay = Image.open(io.BytesIO(base64.b64decode(shown["overlay"])))
        assert (overlay.mode, overlay.size) == ("RGB", (40, 40))
        metrics = client.get("/metrics").text
        decisions = [line for line in metrics.splitlines() if line.startswith("mkd_decisions_total{")]
        assert sum(float(line.rsplit(" ", 1)[1]) for line in decisions if 'product="bolt"' in line) == 2
        assert client.get("/products").json()["products"][0]["name"] == "bolt"


def trainer(*arguments: str) -> None:
    """`mkd-train ...`, which must succeed; within this process, as the pages' tests run it as a program."""
    handler = signal.getsignal(signal.SIGTERM)
    assert main(arguments) == 0
    signal.signal(signal.SIGTERM, handler)  # the program sets one of its own
