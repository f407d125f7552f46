"""KServe's own client gets the scores of /score over the protocol's REST and gRPC forms."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from benchmarks.harness.service_process import ServiceProcess

PYTHON = "KSERVE_PYTHON"  # the Python of an environment with KServe's client
SCRIPT = Path(__file__).with_name("kserve_client.py")


@pytest.fixture(scope="module")
def kserve_python() -> str:
    """Skips where there is none."""
    python = os.environ.get(PYTHON, sys.executable)
    if subprocess.run([python, "-c", "import kserve"], check=False, capture_output=True).returncode:
        pytest.skip(
            f"needs KServe's client, which pins psutil below 6 and so lives in an environment of its own: "
            f"python -m venv FOLDER; FOLDER/bin/pip install kserve; then {PYTHON}=FOLDER/bin/python"
        )
    return python


def asked(python: str, service: ServiceProcess, files: Sequence[Path]) -> Any:
    port = next(event["port"] for event in service.events() if event["event"] == "gRPC started")
    command = [python, str(SCRIPT), str(service.port), str(port), "bolt", *map(str, files)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=200).stdout)


@pytest.mark.long
def test_kserves_client_gets_the_verdicts_of_score(
    kserve_python: str,
    service: ServiceProcess,
    client: httpx.Client,
    good_images: list[bytes],
    bad_image: bytes,
    tmp_path: Path,
) -> None:
    images = [*good_images[:2], bad_image]
    files = [tmp_path / f"{number}.png" for number in range(len(images))]
    for file, image in zip(files, images, strict=True):
        file.write_bytes(image)
    found = asked(kserve_python, service, files)
    entries = client.post(
        "/score", params={"product": "bolt"}, files=[("image", ("part.png", image)) for image in images]
    ).json()["results"]
    grey = cv2.imencode(".png", np.full((40, 40, 3), 128, np.uint8))[1].tobytes()
    single = client.post("/score", params={"product": "bolt"}, files={"image": ("grey.png", grey)}).json()["results"]
    for surface in ("rest", "grpc"):
        assert found[surface]["ready"] == [True, True]
        for name, expected in (("files", entries), ("pixels", single)):
            outputs = found[surface][name]
            # A batch of another size may run on another backend, whose sums round differently.
            assert outputs["score"] == pytest.approx([entry["score"] for entry in expected], rel=1e-5)
            for other in ("p_value", "threshold", "decision"):
                assert outputs[other] == [entry[other] for entry in expected]
