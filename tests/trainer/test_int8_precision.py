"""An artifact trained in int8 is calibrated and golden-checked in it, and another arithmetic is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.artifact import Artifact, ArtifactError
from models.backends.onnx_backend import OnnxBackend
from models.backends.pool import SourcePool
from models.detector import Detector
from models.heads.registry import config_of
from models.sources.weights import SourceWeightsError, load_source_weights
from trainer.config import TrainingSettings
from trainer.fit_run import Display
from trainer.run import TrainingJob, train

pytest.importorskip("onnxruntime")
CPU = torch.device("cpu")
SETTINGS = TrainingSettings(
    method=config_of({"method": "padim"}),
    image_size=64,
    hold_out=0.4,
    source="efficientnet-lite0",
    source_precision="int8",
)


@pytest.fixture(scope="module")
def whole(good_folder_of_bolts: Path, tmp_path_factory: pytest.TempPathFactory, module_display: Display) -> Artifact:
    """The bolt, trained in int8."""
    try:
        load_source_weights("efficientnet-lite0")
    except SourceWeightsError as error:
        pytest.skip(f"needs the weights of EfficientNet-Lite0: {str(error).splitlines()[0]}")
    out = tmp_path_factory.mktemp("whole")
    job = TrainingJob(data=good_folder_of_bolts, product="whole", out=out, settings=SETTINGS, threads=1)
    return train(job, module_display)


def verify(artifact: Artifact) -> None:
    pool = SourcePool(CPU, threads=1)
    pool.require(artifact.source)
    artifact.verify_golden(Detector(CPU, pool))


def test_it_says_so_and_its_golden_scores_hold(whole: Artifact, told: list[str]) -> None:
    assert whole.source.precision == "int8"
    assert any("in int8 on cpu by backend onnxruntime" in line for line in told)
    verify(whole)


def test_another_arithmetic_is_refused_by_its_golden_scores(whole: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    record = whole.manifest.source.model_copy(update={"precision": "float32"})
    exact = replace(whole, manifest=whole.manifest.model_copy(update={"source": record}))
    with pytest.raises(ArtifactError, match="when it was made"):
        verify(exact)
    computed = OnnxBackend.activations

    def coarser(
        self: OnnxBackend, images: torch.Tensor, taps: tuple[str, ...] | None = None
    ) -> dict[str, torch.Tensor]:
        """As a processor whose sums overflow would: some per cent away."""
        found = computed(self, images, taps)
        noise = torch.Generator().manual_seed(0)
        return {
            tap: values + 0.1 * values.std() * torch.randn(values.shape, generator=noise)
            for tap, values in found.items()
        }

    monkeypatch.setattr(OnnxBackend, "activations", coarser)
    with pytest.raises(ArtifactError, match="when it was made"):
        verify(whole)
