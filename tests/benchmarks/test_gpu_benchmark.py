"""The run for a GPU, tried on a CPU: what it measures, that it keeps its time, and that a part may fail alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks import gpu
from examples.demo_images import Counts
from models.backends.base import SourceKey
from models.backends.pool import SourcePool
from models.heads.registry import config_of
from trainer.config import TrainingSettings

CPU = torch.device("cpu")


class StandIn:
    name = "stand-in"

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def activations(self, images: Tensor, taps: Collection[str] | None = None) -> dict[str, Tensor]:
        self.shapes.append(tuple(images.shape))
        return {}


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """In the place of every source on every backend; each batch size is timed by few calls."""
    found = StandIn()
    monkeypatch.setattr(gpu, "TURN_S", 0.0)
    monkeypatch.setattr(gpu, "source_key", lambda name, *_, **__: SourceKey(name, "0" * 64, "source"))
    monkeypatch.setattr(SourcePool, "require", lambda *_: found)
    return found


def test_every_source_is_measured_by_backend_precision_side_and_batch(source: StandIn) -> None:
    rows = gpu.source_rates(gpu.Part(CPU, 60.0), ("torch", "auto"))
    assert {row["source"] for row in rows} == {"vgg16", "efficientnet-lite0"}
    assert {row["precision"] for row in rows} == {"float32", "bfloat16"}
    assert {(row["side"], row["batch"]) for row in rows} == {(side, n) for side in gpu.SIDES for n in gpu.BATCHES}
    assert len(rows) == 2 * 2 * 2 * len(gpu.SIDES) * len(gpu.BATCHES)
    assert source.shapes.count((8, 3, 128, 128)) >= 2 * len(rows) // (len(gpu.SIDES) * len(gpu.BATCHES))


def test_a_part_whose_time_is_over_says_so(source: StandIn) -> None:
    assert gpu.source_rates(gpu.Part(CPU, 0.0), ("torch",)) == [{"stopped": "the time was over"}]
    assert source.shapes == []


def test_a_gpu_has_half_precision_and_the_backend_cuda_besides() -> None:
    ways = gpu._ways(torch.device("cuda"), ("torch", "cuda"))
    assert ("vgg16", "torch", "float32", True) in ways
    assert ("vgg16", "cuda", "bfloat16", False) in ways
    assert ("vgg16", "cuda", "float32", True) not in ways


def test_a_part_that_fails_is_recorded_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> gpu.Rows:
        raise RuntimeError("CUDA error: out of luck")

    monkeypatch.setattr(gpu, "training", fail)
    monkeypatch.setattr(gpu, "source_rates", lambda *_: [{"images_per_s": 1.0}])
    monkeypatch.setattr(gpu, "detector_rates", lambda *_: [])
    monkeypatch.setattr(gpu, "http_rates", lambda *_: [])
    monkeypatch.setattr(gpu, "load_artifact", lambda _: None)
    monkeypatch.setattr(Path, "iterdir", lambda _: iter([Path("brick")]))
    results, (failed, _) = gpu.measure(CPU, 1.0)
    assert results["training"] == [{"failed": "RuntimeError: CUDA error: out of luck"}]
    assert results["source"] == [{"images_per_s": 1.0}]
    assert failed.measured == 1
    assert not failed.met


def test_without_a_gpu_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 2
    assert "--device cpu" in capsys.readouterr().err


@pytest.mark.long
def test_every_part_comes_to_its_end_on_a_cpu_with_real_sources_and_a_real_service(
    monkeypatch: pytest.MonkeyPatch, source_weights: Mapping[str, Tensor]
) -> None:
    monkeypatch.setattr(gpu, "TURN_S", 0.0)
    monkeypatch.setattr(gpu, "BATCHES", (1, 2))
    monkeypatch.setattr(gpu, "SIDES", (64,))
    short = TrainingSettings(method=config_of({"method": "mkd", "steps": 4}), image_size=64)
    monkeypatch.setattr(gpu, "SHORT_RUN", short)
    monkeypatch.setattr(gpu, "PICTURES_TO_TRAIN", Counts(train=24, good=0, defect=0))
    monkeypatch.setattr(gpu, "SHARES", dict.fromkeys(gpu.SHARES, 4.0) | {"http": 0.2})  # a busy machine is slow
    results, (failed, _) = gpu.measure(CPU, 2.0)
    assert failed.measured == 0, results
    training, source, detector, http = (results[name] for name in ("training", "source", "detector", "http"))
    assert [sorted(row) for row in training] == [["memory_mib", "seconds"]]  # type: ignore[attr-defined]
    rows = [row for row in source if "missing" not in row]  # type: ignore[attr-defined]
    assert {(row["source"], row["side"], row["batch"]) for row in rows} == {
        (name, 64, batch) for name in ("vgg16", "efficientnet-lite0") for batch in (1, 2)
    }
    assert all(row["images_per_s"] > 0 for row in rows)
    assert {(row["maps"], row["batch"]) for row in detector[:-1]} == {  # type: ignore[index]
        (maps, batch) for maps in (False, True) for batch in (1, 2)
    }
    assert [row["path"] for row in http[:-1]] == ["/score"] * 2 + ["/localize"] * 2  # type: ignore[index]
    assert http[-1]["ready_after_s"] > 0  # type: ignore[index]
