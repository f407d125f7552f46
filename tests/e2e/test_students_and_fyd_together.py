"""Students and FYD on real sources: fitted by the command, judged in one batch with MKD, served and swapped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch

from models.artifact import Artifact, load_artifact
from models.backends.pool import SourcePool
from models.detector import Detector, Row
from models.imaging.decode import decode_image
from models.imaging.preprocess import prepare
from models.sources.weights import SourceWeightsError, load_source_weights
from tests.e2e.test_a_method_of_its_own import served
from trainer.__main__ import main as mkd_train

SETTINGS = {
    "students": ("steps=25", "width=8", "batch_size=4"),
    "fyd": ("steps=4", "align_image=true", "image_steps=3", "batch_size=4", "dimensions=16"),
}
CASES = (("students", "vgg16"), ("fyd", "vgg16"), ("students", "efficientnet-lite0"), ("fyd", "efficientnet-lite0"))


@pytest.fixture(scope="module")
def fitted(
    good_folder_of_bolts: Path, tmp_path_factory: pytest.TempPathFactory, source_weights: object
) -> dict[tuple[str, str], Artifact]:
    """An artifact of each case whose source is at hand; those of VGG-16 are versions of the product nut."""
    out, found = tmp_path_factory.mktemp("several"), {}
    for number, (method, source) in enumerate(CASES, start=1):
        try:
            load_source_weights(source)
        except SourceWeightsError:
            continue
        product = "nut" if source == "vgg16" else "lite"
        line = ["fit", str(good_folder_of_bolts), "--product", product, "--version", str(number), "--out", str(out)]
        line += ["--method", method, "--source", source, "--image-size", "32", "--hold-out", "0.4", "--threads", "1"]
        line += ["--accept-degenerate", "--no-forecast"]
        assert mkd_train([*line, *(part for word in SETTINGS[method] for part in ("--set", word))]) == 0
        found[method, source] = load_artifact(out / product / str(number))
    return found


def test_a_mixed_batch_equals_single_images(
    fitted: dict[tuple[str, str], Artifact], artifacts_folder: Path, good_images: list[bytes], bad_image: bytes
) -> None:
    artifacts = [*fitted.values(), load_artifact(artifacts_folder / "bolt")]
    pool = SourcePool(torch.device("cpu"), backend="torch", threads=1)
    for artifact in artifacts:
        pool.require(artifact.source)
    detector = Detector(torch.device("cpu"), pool)
    rows = [
        Row(prepare(decode_image(image), artifact.preprocessing), artifact.head, artifact.source, wants_map=number < 2)
        for number, image in enumerate((bad_image, *good_images[:2]))
        for artifact in artifacts
    ]
    for row, together in zip(rows, detector.judge(rows), strict=True):
        (alone,) = detector.judge([row])
        assert together.score == pytest.approx(alone.score, rel=1e-3, abs=1e-3)
        assert (together.map is None) == (not row.wants_map)
        if together.map is not None:
            assert alone.map is not None
            assert together.map.shape == (32, 32)
            np.testing.assert_allclose(together.map, alone.map, rtol=5e-3, atol=5e-3)


def test_what_was_measured_stands_in_the_artifact(fitted: dict[tuple[str, str], Artifact]) -> None:
    for (method, source), artifact in fitted.items():
        outcome = artifact.manifest.training.outcome
        assert (artifact.manifest.method, artifact.manifest.source.name) == (method, source)
        assert ("students_error" if method == "students" else "picture_difference_left") in outcome
        assert "loss_last_100_mean" in outcome


@pytest.mark.anyio
async def test_one_method_is_swapped_for_the_other_while_serving(
    fitted: dict[tuple[str, str], Artifact], tmp_path: Path, bad_image: bytes, good_images: list[bytes]
) -> None:
    artifacts = fitted["students", "vgg16"].path.parent.parent
    async with served(artifacts, tmp_path / "audit") as client:
        second = await verdict(client, bad_image)
        assert second["artifact"]["method"] == "fyd"
        assert second["map"]
        loaded = (await client.post("/admin/products/nut/activate", json={"version": "1"})).json()
        assert loaded["version"] == "1", loaded
        first = await verdict(client, bad_image)
        assert first["artifact"]["method"] == "students"
        assert first["score"] > (await verdict(client, good_images[0]))["score"]


async def verdict(client: httpx.AsyncClient, image: bytes) -> dict[str, Any]:
    """What /localize answers for the product nut."""
    answer = await client.post("/localize?product=nut", content=image, headers={"Content-Type": "image/png"})
    found: dict[str, Any] = answer.json()["results"][0]
    return found
