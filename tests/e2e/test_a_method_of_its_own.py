"""A toy method, registered from here alone, goes the whole way from fit to audit.

Nothing else in the repository knows it; that is the proof of the contract in models.heads.base.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal

import cv2
import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from models.artifact import load_artifact
from models.heads.base import FitRun, GoodParts, Head, HeadOutput, Method, MethodConfig, SourceNeeds
from models.heads.parts.maps import patch_map
from models.heads.registry import forget, register
from models.sources.registry import Activations, SourceSpec
from service.bulk.command import run as mkd_score
from service.run.application import create_app
from service.run.settings import Settings
from trainer.__main__ import main as mkd_train


class MirrorConfig(MethodConfig):
    """`weight` is how much the mirrored picture counts."""

    method: Literal["mirror"] = "mirror"
    weight: float = 0.5


class MirrorRecord(BaseModel):
    """As the manifest has it."""

    model_config = ConfigDict(extra="forbid")

    weight: float


class MirrorHead(Head):
    """Distance of pool3 to its mean, of the picture and of its mirror image, which takes a further source pass."""

    method: ClassVar[str] = "mirror"
    mean: Tensor

    def __init__(self, record: MirrorRecord, mean: Tensor) -> None:
        super().__init__()
        self.record = record
        self.register_buffer("mean", mean)

    @property
    def needs(self) -> SourceNeeds:
        return SourceNeeds(("pool3",), further_pass=True)

    def changed(self, images: Tensor, activations: Activations) -> Tensor:
        return images.flip(-1)

    def judge(
        self, images: Tensor, activations: Activations, wants_map: Sequence[bool], further: Activations | None = None
    ) -> HeadOutput:
        assert further is not None
        assert isinstance(self.record, MirrorRecord)
        mirrored = further["pool3"].flip(-1)
        both = activations["pool3"] + self.record.weight * mirrored
        places = (both - self.mean).square().mean(dim=1)
        asked = torch.tensor(list(wants_map), dtype=torch.bool)
        return HeadOutput(places.amax(dim=(1, 2)), patch_map(places[asked], images.shape[-1]))

    def tensors(self) -> dict[str, Tensor]:
        return {"mean": self.mean.contiguous()}


class MirrorMethod(Method[MirrorConfig]):
    name = "mirror"
    title = "Distance to the mean, mirrored"
    when = "in this test"
    Config = MirrorConfig

    def needs(self, config: MirrorConfig, source: SourceSpec) -> SourceNeeds:
        return SourceNeeds(("pool3",), further_pass=True)

    def fit(self, config: MirrorConfig, parts: GoodParts, run: FitRun) -> Head:
        plain, mirrored = (
            torch.cat([taps["pool3"] for _, taps in some.batches()])
            for some in (parts, parts.changed(lambda images, _: images.flip(-1)))
        )
        both = plain + config.weight * mirrored.flip(-1)
        run.note("spread", float(both.std()))
        return MirrorHead(MirrorRecord(weight=config.weight), both.mean(dim=0))

    def load(self, record: Mapping[str, object], tensors: Mapping[str, Tensor]) -> Head:
        return MirrorHead(MirrorRecord.model_validate(record), tensors["mean"])


@pytest.fixture(autouse=True)
def _mirror() -> Iterator[None]:
    register(MirrorMethod())
    yield
    forget("mirror")


@pytest.fixture
def labelled_set(good_folder_of_bolts: Path, good_images: list[bytes], bad_image: bytes, tmp_path: Path) -> Path:
    """Good bolts to fit to, four good ones and three with a blot to test."""
    files = {f"train/good/{file.name}": file.read_bytes() for file in good_folder_of_bolts.iterdir()}
    files |= {f"test/good/{number}.png": image for number, image in enumerate(good_images[:4])}
    files |= {f"test/blot/{number}.png": bad_image for number in range(3)}
    mask = cv2.circle(np.zeros((40, 40), np.uint8), (26, 14), 6, (255,), -1)
    files |= {f"ground_truth/blot/{number}_mask.png": cv2.imencode(".png", mask)[1].tobytes() for number in range(3)}
    for name, data in files.items():
        file = tmp_path / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return tmp_path / "data"


def fit(data: Path, out: Path, version: str, weight: float) -> None:
    line = ["fit", str(data), "--product", "bolt", "--version", version, "--out", str(out), "--hold-out", "0.4"]
    line += ["--method", "mirror", "--set", f"weight={weight}", "--image-size", "32", "--threads", "1", "--no-forecast"]
    assert mkd_train(line) == 0


@asynccontextmanager
async def served(artifacts: Path, audit: Path) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(artifacts=artifacts, devices="cpu", torch_threads=1, watch_s=0, audit_folder=audit)
    app = create_app(settings)
    async with app.router.lifespan_context(app) as state:

        async def with_state(scope: Any, receive: Any, send: Any) -> None:
            scope["state"] = dict(state or {})
            await app(scope, receive, send)

        transport = httpx.ASGITransport(with_state)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000", timeout=60) as client:
            yield client


@pytest.mark.anyio
async def test_a_method_from_a_test_goes_the_whole_way(
    labelled_set: Path, tmp_path: Path, bad_image: bytes, good_images: list[bytes], source_weights: object
) -> None:
    artifacts, audit = tmp_path / "artifacts", tmp_path / "audit"
    fit(labelled_set, artifacts, "1", 0.5)
    made = load_artifact(artifacts / "bolt" / "1")
    assert made.manifest.method == "mirror"
    assert made.manifest.training.outcome["spread"] > 0  # type: ignore[operator]

    report = tmp_path / "report"
    line = ["evaluate", str(made.path), str(labelled_set), "--out", str(report), "--threads", "1"]
    assert mkd_train(line) == 0
    assert json.loads((report / "metrics.json").read_text())["image_auroc"] > 0.9

    out = tmp_path / "scores.parquet"
    assert mkd_score([str(labelled_set / "test"), "--artifact", str(made.path), "--out", str(out)]) == 0
    scored = {row["path"]: row for row in pq.read_table(out).to_pylist()}

    async with served(artifacts, audit) as client:
        png = {"Content-Type": "image/png"}
        (verdict,) = (await client.post("/score", content=bad_image, headers=png)).json()["results"]
        assert verdict["artifact"]["method"] == "mirror"
        assert verdict["score"] == pytest.approx(scored["blot/0.png"]["score"], rel=1e-4)
        assert verdict["decision"] == scored["blot/0.png"]["decision"] == "NG"
        (located,) = (await client.post("/localize", content=bad_image, headers=png)).json()["results"]
        assert located["score"] == pytest.approx(verdict["score"], rel=1e-4)
        assert located["regions"]
        (good,) = (await client.post("/score", content=good_images[0], headers=png)).json()["results"]
        assert good["score"] < verdict["score"]

        fit(labelled_set, artifacts, "2", 0.0)
        loaded = (await client.post("/admin/products/bolt/load", json={})).json()
        assert loaded["version"] == "2", loaded
        (swapped,) = (await client.post("/score", content=bad_image, headers=png)).json()["results"]
        assert swapped["artifact"]["version"] == "2"
        assert swapped["score"] != verdict["score"]
        assert (await client.get("/products/bolt/drift")).json()["state"] in {"steady", "no parts yet"}

    records = [json.loads(line) for file in audit.rglob("*.jsonl") for line in file.read_text().splitlines()]
    assert [one["artifact"]["method"] for one in records if "artifact" in one] == ["mirror"] * 4
