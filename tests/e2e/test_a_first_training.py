"""Pictures of a new product become a served artifact over HTTP alone, while another product is judged."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from benchmarks.harness.service_process import ServiceProcess
from mkdserve.client import Client, Conflict, ImageFile
from tests.conftest import bolt_picture, png, tile_picture
from tests.e2e.conftest import faults


@pytest.mark.slow
def test_a_product_is_trained_and_served_without_a_shell(
    artifacts_folder: Path, flags: tuple[str, ...], tmp_path: Path
) -> None:
    artifacts = tmp_path / "artifacts"
    shutil.copytree(artifacts_folder / "bolt", artifacts / "bolt")
    pictures = [ImageFile(png(tile_picture(number)), f"good {number}.png") for number in range(16)]
    with (
        ServiceProcess(artifacts, *flags) as service,
        Client(f"http://127.0.0.1:{service.port}", deadline_s=120) as client,
    ):
        begun = client.start_training(
            "tile",
            *pictures,
            b"no image",
            version="1",
            method="padim",
            image_size=32,
            hold_out=0.4,
            ignore=json.dumps({"width": 40, "height": 40, "polygons": [[[0, 0], [9, 0], [9, 9], [0, 9]]]}).encode(),
        )
        assert (begun.pictures, [one.code for one in begun.refused]) == (16, ["image_unreadable"])
        with pytest.raises(Conflict, match="training_running"):
            client.start_training("tile", *pictures)
        while not (found := client.training("tile", begun.id)).over:
            assert len(client.score(png(bolt_picture(300)), product="bolt").verdicts) == 1
            time.sleep(0.2)
        assert found.state == "ready", found
        assert found.artifact is not None
        assert (found.artifact.method, found.artifact.images_trained + found.artifact.images_held_out) == ("padim", 16)
        assert found.artifact.threshold.rate_promised == pytest.approx(found.artifact.smallest_false_reject)
        assert [one.name for one in client.products()] == ["bolt"]

        assert client.activate_training("tile", begun.id).version == "1"
        (verdict,) = client.localize(png(tile_picture(40)), product="tile").verdicts
        assert verdict.artifact.method == "padim"
        assert verdict.map.shape == (40, 40)
        spoilt = tile_picture(40)
        spoilt[:9, :9] = 255 - spoilt[:9, :9]
        (same,) = client.score(png(spoilt), product="tile").verdicts
        assert same.score == verdict.score  # what is ignored moves no bit
        assert client.product("tile").calibration_images is not None
        assert client.trainings("tile")[0].state == "active"
    assert faults(service) == []
