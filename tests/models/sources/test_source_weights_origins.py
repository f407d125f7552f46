"""The origins outside of this project: torchvision's hub, and the package with an ONNX file."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch

from models.sources import weights as subject
from models.sources.vgg16 import SOURCES
from models.sources.weights import convolution_names

NAME = "IMAGENET1K_FEATURES"
Tensors = dict[str, torch.Tensor]


def small_weights() -> Tensors:
    """26 tensors with the right names and tiny shapes."""
    generator = torch.Generator().manual_seed(0)
    found: Tensors = {}
    for prefix, _ in convolution_names():
        found[f"{prefix}.weight"] = torch.randn((2, 3, 3, 3), generator=generator)
        found[f"{prefix}.bias"] = torch.randn(2, generator=generator)
    return found


def test_nothing_is_fetched_where_downloads_are_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(subject.NO_DOWNLOAD_ENV, "1")
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *_, **__: pytest.fail("asked the hub"))
    with pytest.raises(OSError, match=subject.NO_DOWNLOAD_ENV):
        subject._from_hub(SOURCES[NAME])


def test_the_hub_is_asked_for_checked_tensors_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(subject.NO_DOWNLOAD_ENV)
    seen: dict[str, object] = {}

    def fetched(url: str, **options: object) -> Tensors:
        seen.update(options, url=url)
        return small_weights()

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fetched)
    subject._from_hub(SOURCES[NAME])
    assert seen == {"url": SOURCES[NAME].url, "map_location": "cpu", "check_hash": True, "weights_only": True}


def test_the_carriers_first_layer_is_turned_from_bgr_to_rgb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    weights = small_weights()
    initialisers = []
    for prefix, name in convolution_names():
        stem = f"functional_1/block{name[4]}_conv{name[6]}_1"
        weight = weights[f"{prefix}.weight"].numpy()
        stored = np.ascontiguousarray(weight[:, ::-1]) if name == "conv1_1" else weight
        bias = weights[f"{prefix}.bias"].numpy().reshape(1, -1, 1, 1)
        for array, part in ((stored, "convolution/ReadVariableOp:0"), (bias, "Squeeze:0")):
            initialisers.append(onnx.numpy_helper.from_array(array, f"{stem}/{part}"))
    graph = onnx.helper.make_graph([], "carrier", [], [], initialisers)
    onnx.save(onnx.helper.make_model(graph), str(tmp_path / "carrier.onnx"))

    class Carrier:
        def locate_file(self, _: str) -> Path:
            return tmp_path / "carrier.onnx"

    monkeypatch.setattr(metadata, "distribution", lambda _: Carrier())
    found = subject._from_package(SOURCES[NAME])
    assert found is not None
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[key], weights[key]) for key in weights)
