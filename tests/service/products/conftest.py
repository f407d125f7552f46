"""Folders of real artifacts, with a device that proves whatever it is told to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.artifact import Artifact, GoldenRecord, Manifest, SourceRecord, TrainingRecord, write_artifact
from models.calibration.conformal import calibrate
from models.heads.mkd.cloner import folded_cloner
from models.heads.mkd.config import MkdRecord
from models.heads.mkd.head import MkdHead
from models.imaging.preprocess import Preprocessing
from models.sources.registry import SOURCES
from service.metrics import Metrics
from service.products.registry import Registry


class Stock:
    """A folder of artifacts, written and spoilt by their place in it, and registries that open it or a part of it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, place: str, *, product: str = "screw", version: str = "1", seed: int = 0) -> Artifact:
        """An artifact with one tap, untrained; the seed makes its contents."""
        return write(self.root / place, product=product, version=version, seed=seed)

    def spoil(self, place: str) -> None:
        """Flip one byte of the head's tensors."""
        file = self.root / place / "head.safetensors"
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(bytes(data))

    @asynccontextmanager
    async def opened(
        self, validate: Callable[[Artifact], None] = lambda _: None, *, within: str = "", **kwargs: Any
    ) -> AsyncIterator[Registry]:
        """A registry that has started and does not watch: `look` is the test's."""
        metrics = kwargs.pop("metrics", None) or Metrics()
        registry = Registry(self.root / within, validate=validate, metrics=metrics, watch_s=0, **kwargs)
        await registry.start()
        try:
            yield registry
        finally:
            await registry.stop()

    @staticmethod
    async def version_of(registry: Registry, product: str | None = "screw") -> str:
        """The version that a request would get."""
        async with registry.lease(product) as version:
            return version.version


@pytest.fixture
def stock(tmp_path: Path) -> Stock:
    """An empty one."""
    return Stock(tmp_path)


def write(path: Path, *, product: str, version: str, seed: int) -> Artifact:
    """As `Stock.write`."""
    torch.manual_seed(seed)
    config = MkdRecord(taps=("pool2",), tap_scales=(1.0,), score_weights=((1.0, 1.0),), map_weights=((1.0, 1.0),))
    head = MkdHead(config, folded_cloner("small", ("pool2",), SOURCES["vgg16"], input_range="centred"))
    for parameter in head.parameters():
        parameter.data.normal_(0, 0.1)
    manifest = Manifest(
        product=product,
        version=version,
        method="mkd",
        created_at="2026-01-01T00:00:00Z",
        source=SourceRecord(name="vgg16", sha256="0" * 64, normalisation="source", licence="CC BY 4.0"),
        preprocessing=Preprocessing(image_size=32),
        head=config.model_dump(mode="json"),
        calibration=calibrate(np.arange(1, 9, dtype=np.float32), np.random.rand(8, 4, 4).astype(np.float32)),
        training=TrainingRecord(settings={}, images_trained=8, images_held_out=8, data_sha256="0" * 64),
        golden=(GoldenRecord(file="golden/0.png", score=1.0, map_peak=1.0),),
        packages={},
    )
    return write_artifact(path, manifest, head, [b"png"])
