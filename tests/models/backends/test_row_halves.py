"""Two cores take halves of one picture's rows through the first layers; the numbers are those of the whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor

from models.backends import onnx_backend
from models.backends.onnx_backend import OnnxBackend
from models.backends.row_halves import reach, row_halves
from models.sources.network import SourceNetwork, build_source
from models.sources.registry import SOURCES

pytest.importorskip("onnxruntime")


@pytest.fixture
def build(request: pytest.FixtureRequest) -> Callable[[str], SourceNetwork]:
    def network(name: str) -> SourceNetwork:
        weights: Mapping[str, Tensor] = request.getfixturevalue(
            "source_weights" if name == "vgg16" else "lite0_weights"
        )
        return build_source(SOURCES[name], "source", weights)

    return network


@pytest.mark.parametrize(("name", "tap"), [("efficientnet-lite0", "stride8"), ("vgg16", "pool3")])
def test_a_place_sees_no_further_than_its_reach(build: Callable[[str], SourceNetwork], name: str, tap: str) -> None:
    network = build(name)
    stride, far = SOURCES[name].taps[tap].stride, reach(network, tap)
    size = 2 * (-(-far // 32) * 32)
    images = torch.rand(1, 3, size, size, requires_grad=True)
    place = size // 2 // stride
    network(images, (tap,))[tap][0, :, place].square().sum().backward()
    assert images.grad is not None
    rows = images.grad[0].abs().sum(dim=(0, 2)).nonzero().flatten()
    first, last = int(rows[0]), int(rows[-1])
    assert first >= place * stride - far
    assert last == (place + 1) * stride - 1 + far  # what stride 2 passes over lies before a place, not behind it


@pytest.mark.parametrize(
    ("name", "taps", "size", "cut"),
    [
        ("efficientnet-lite0", ("stride4", "stride8", "stride16"), 224, "stride8"),
        ("efficientnet-lite0", ("stride8",), 224, "stride8"),
        ("efficientnet-lite0", ("stride16",), 96, "stride4"),
        ("vgg16", ("pool2", "pool4"), 128, "pool3"),
    ],
)
def test_halves_give_the_numbers_of_the_whole(
    build: Callable[[str], SourceNetwork],
    name: str,
    taps: tuple[str, ...],
    size: int,
    cut: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, image = build(name), torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    halves = row_halves(network, taps[-1], size)
    assert halves is not None
    assert halves.tap == cut
    whole = OnnxBackend(network, 1).activations(image, taps)
    ran: list[tuple[int, ...]] = []
    run = onnx_backend._run

    def watched(session: object, batch: onnx_backend.Array, names: list[str]) -> onnx_backend.Arrays:
        ran.append(batch.shape)
        return run(session, batch, names)

    monkeypatch.setattr(onnx_backend, "_run", watched)
    found = OnnxBackend(network, 2).activations(image, taps)
    assert [shape[2] for shape in ran[:2]] == [size // 2 + halves.further] * 2
    assert list(found) == list(whole) == list(taps)
    for tap in taps:
        assert torch.allclose(found[tap], whole[tap], rtol=0, atol=1e-6 * float(whole[tap].abs().max()))


def test_a_picture_too_small_for_halves_is_not_cut(build: Callable[[str], SourceNetwork]) -> None:
    assert row_halves(build("efficientnet-lite0"), "stride16", 32) is None
    assert row_halves(build("vgg16"), "pool4", 32) is None
    assert row_halves(build("vgg16"), "pool4", 64) is not None
