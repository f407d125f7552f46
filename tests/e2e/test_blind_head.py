"""A head that does not see defects: no artifact of it, none that loads, and loud words where a person insists."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import pytest
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from models.artifact import MANIFEST, SUMS, Artifact, active_artifact, load_artifact
from models.artifact.read import sums_text
from models.backends.pool import SourcePool
from models.detector import Detector
from models.exit_codes import ExitCode
from models.heads.base import FitRun, GoodParts, Head, HeadOutput, Method, MethodConfig, SourceNeeds
from models.heads.registry import forget, register
from models.sources.registry import Activations, SourceSpec
from service.metrics import Metrics
from service.products.registry import Registry
from service.rest.product_schemas import ProductSummary
from service.rest.product_view import summary_of
from trainer.__main__ import main as mkd_train


class BlindConfig(MethodConfig):
    """No settings."""

    method: Literal["blind"] = "blind"


class BlindRecord(BaseModel):
    """As the manifest has it."""

    model_config = ConfigDict(extra="forbid")


class BlindHead(Head):
    """Looks at the light of the upper left corner alone: scores with a spread that know nothing of defects."""

    method: ClassVar[str] = "blind"

    def __init__(self) -> None:
        super().__init__()
        self.record = BlindRecord()
        self.register_buffer("nothing", torch.zeros(1))

    @property
    def needs(self) -> SourceNeeds:
        return SourceNeeds(("pool2",))

    def judge(
        self, images: Tensor, activations: Activations, wants_map: Sequence[bool], further: Activations | None = None
    ) -> HeadOutput:
        asked = torch.tensor(list(wants_map), dtype=torch.bool)
        return HeadOutput(images[:, :, :2, :2].mean(dim=(1, 2, 3)), images.mean(dim=1)[asked])

    def tensors(self) -> dict[str, Tensor]:
        return {"nothing": torch.zeros(1)}


class BlindMethod(Method[BlindConfig]):
    name = "blind"
    title = "Blind"
    when = "in this test"
    Config = BlindConfig

    def needs(self, config: BlindConfig, source: SourceSpec) -> SourceNeeds:
        return SourceNeeds(("pool2",))

    def fit(self, config: BlindConfig, parts: GoodParts, run: FitRun) -> Head:
        return BlindHead()

    def load(self, record: Mapping[str, object], tensors: Mapping[str, Tensor]) -> Head:
        return BlindHead()


@pytest.fixture(autouse=True)
def _blind() -> Iterator[None]:
    register(BlindMethod())
    yield
    forget("blind")


@pytest.fixture
def line(good_folder_of_bolts: Path, tmp_path: Path, source_weights: Mapping[str, Tensor]) -> list[str]:
    line = ["fit", str(good_folder_of_bolts), "--product", "bolt", "--out", str(tmp_path / "artifacts")]
    return [*line, "--method", "blind", "--image-size", "32", "--threads", "1", "--backend", "torch", "--no-forecast"]


def test_a_head_that_does_not_see_painted_defects_makes_no_artifact(
    line: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mkd_train(line) == ExitCode.INPUT
    assert "the head does not see defects" in capsys.readouterr().err
    assert not (tmp_path / "artifacts" / "bolt").exists()


def test_one_that_is_accepted_says_so_at_every_load_and_without_its_record_it_is_refused(
    line: list[str],
    tmp_path: Path,
    good_images: list[bytes],
    bad_image: bytes,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert mkd_train([*line, "--accept-degenerate"]) == 0
    assert "DEGENERATE: 2 reasons" in capsys.readouterr().err
    path = active_artifact(tmp_path / "artifacts" / "bolt")
    made = load_artifact(path)
    assert made.manifest.degenerate is not None
    assert "does not see defects" in made.manifest.degenerate.reasons[0]
    assert "Degenerate training set, accepted by a person: painted defects" in report(path, good_images, bad_image)
    pool = SourcePool(torch.device("cpu"), backend="torch", threads=1)
    pool.require(made.source)
    detector = Detector(torch.device("cpu"), pool)

    def validate(artifact: Artifact) -> None:
        artifact.verify_golden(detector)

    async def served() -> ProductSummary:
        registry = Registry(path.parents[1], validate=validate, metrics=Metrics(), watch_s=0)
        await registry.start()
        await registry.stop()
        return summary_of(registry.status("bolt"))

    with caplog.at_level(logging.WARNING, "mkdserve"):
        found = asyncio.run(served())
    assert (found.state, found.problems) == ("served", {})
    assert len(found.doubts) == 2
    assert "degenerate, accepted at the fit: painted defects score above" in found.doubts[0]
    assert [record.getMessage() for record in caplog.records] == ["served with a doubt"] * 2

    without_its_record(path)
    found = asyncio.run(served())
    assert (found.state, found.doubts) == ("refused", [])
    assert "golden/defect.png: a painted defect scores" in found.problems[path.name]
    assert "the head does not see defects" in found.problems[path.name]


def report(artifact: Path, good_images: list[bytes], bad_image: bytes) -> str:
    """The page of an evaluation by the artifact."""
    data = artifact.parents[2] / "labelled"
    for folder, image in (("good", good_images[0]), ("blot", bad_image)):
        (data / "test" / folder).mkdir(parents=True)
        (data / "test" / folder / "0.png").write_bytes(image)
    line = ["evaluate", str(artifact), str(data), "--out", str(data / "report"), "--threads", "1", "--backend", "torch"]
    assert mkd_train(line) == 0
    return (data / "report" / "report.html").read_text()


def without_its_record(path: Path) -> None:
    """As somebody would do it who knows how to hash."""
    manifest = json.loads((path / MANIFEST).read_text())
    manifest["degenerate"] = None
    (path / MANIFEST).write_text(json.dumps(manifest))
    listed = dict(line.split("  ")[::-1] for line in (path / SUMS).read_text().splitlines())
    listed[MANIFEST] = hashlib.sha256((path / MANIFEST).read_bytes()).hexdigest()
    (path / SUMS).write_bytes(sums_text(listed))
