"""What several tests of models/ share: the real source on every backend of a CPU, and loaded artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from models.artifact import Artifact, load_artifact
from models.backends.choice import BackendName
from models.backends.pool import SourcePool
from models.detector import Detector
from models.sources.weights import SourceWeightsError, load_source_weights


@pytest.fixture(scope="session")
def bolt(artifacts_folder: Path) -> Artifact:
    """The loaded artifact of product bolt."""
    return load_artifact(artifacts_folder / "bolt")


@pytest.fixture(scope="session")
def tile(artifacts_folder: Path) -> Artifact:
    """The loaded artifact of product tile."""
    return load_artifact(artifacts_folder / "tile")


@pytest.fixture(scope="session")
def torch_pool(source_weights: Mapping[str, torch.Tensor], bolt: Artifact) -> SourcePool:
    """The source in PyTorch on one CPU thread."""
    return _pool("torch", bolt)


@pytest.fixture(scope="session")
def ncnn_pool(source_weights: Mapping[str, torch.Tensor], bolt: Artifact) -> SourcePool:
    """The source in ncnn on one CPU thread; skips where ncnn is not installed."""
    pytest.importorskip("ncnn")
    return _pool("ncnn", bolt)


@pytest.fixture(scope="session")
def winograd_pool(source_weights: Mapping[str, torch.Tensor], bolt: Artifact) -> SourcePool:
    """The source by matrix products on one CPU thread."""
    return _pool("winograd", bolt)


def _pool(backend: BackendName, artifact: Artifact) -> SourcePool:
    pool = SourcePool(torch.device("cpu"), backend=backend, threads=1)
    pool.require(artifact.source)
    return pool


@pytest.fixture(params=["torch", "ncnn", "winograd"])
def detector(request: pytest.FixtureRequest) -> Detector:
    """A detector on every backend of a CPU."""
    return Detector(torch.device("cpu"), request.getfixturevalue(f"{request.param}_pool"))


@pytest.fixture
def torch_detector(torch_pool: SourcePool) -> Detector:
    """A detector on the reference backend."""
    return Detector(torch.device("cpu"), torch_pool)


@pytest.fixture(scope="session")
def lite0_weights(quiet_machine: None) -> Mapping[str, torch.Tensor]:
    """The checked tensors of EfficientNet-Lite0; skips where they are not at hand."""
    try:
        return load_source_weights("efficientnet-lite0")
    except SourceWeightsError as error:
        pytest.skip(f"needs the weights of EfficientNet-Lite0: {str(error).splitlines()[0]}")
