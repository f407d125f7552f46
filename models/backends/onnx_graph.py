"""Writes a source as an ONNX graph, from the layers and tensors of its network; nothing is traced.

(B, 3, S, S) in [0, 1] -> normalisation -> convolutions, ReLU (6), max-pools, sums -> one output for each tap
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from models.sources.efficientnet_lite import Block, SameConvolution
from models.sources.network import SourceNetwork

IMAGES = "images"
OPSET, FORMAT = 17, 8  # of 2022: every runtime since then reads them
RUNTIME_OPERATORS = "com.microsoft"  # ONNX Runtime's own, in their first version


def onnx_graph(source: SourceNetwork, deepest: str, behind: str | None = None) -> bytes:
    """The source up to the tap `deepest` as a serialised ONNX model: all taps up to it are outputs, by their names.

    With `behind`, the name of a tap, only what comes after it: its activations take the place of the images.
    Raises TypeError for a kind of layer that it does not know.
    """
    writer = GraphWriter()
    maps, first = IMAGES, 0
    if behind is None:
        maps = writer.node("Div", writer.node("Sub", maps, writer.tensor(source.mean)), writer.tensor(source.std))
    else:
        first = source.tap_layers[behind] + 1
    tap_of_layer = {index: tap for tap, index in source.tap_layers.items()}
    for index in range(first, source.tap_layers[deepest] + 1):
        maps = writer.layer(source.features[index], maps)
        if index in tap_of_layer:
            writer.tap(tap_of_layer[index], "Identity", maps)
    return writer.model(source, 3 if behind is None else source.spec.taps[behind].channels)


class GraphWriter:
    """Nodes and tensors as they come; every node has one output, whose name is its number, or a tap's."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: list[onnx.TensorProto] = []
        self._taps: list[str] = []

    def model(self, source: SourceNetwork, channels: int = 3) -> bytes:
        """What has been written, serialised: images (B, channels, H, W) -> the taps written, (B, C, h, w)."""
        images = helper.make_tensor_value_info(IMAGES, TensorProto.FLOAT, ["B", channels, "H", "W"])
        outputs = [
            helper.make_tensor_value_info(
                tap, TensorProto.FLOAT, ["B", source.spec.taps[tap].channels, f"{tap} h", f"{tap} w"]
            )
            for tap in self._taps
        ]
        graph = helper.make_graph(self._nodes, source.spec.name, [images], outputs, self._tensors)
        operators = [helper.make_opsetid("", OPSET), helper.make_opsetid(RUNTIME_OPERATORS, 1)]
        model = helper.make_model(graph, opset_imports=operators, ir_version=FORMAT)
        return bytes(model.SerializeToString())

    def tap(self, name: str, kind: str, *inputs: str, **attributes: Any) -> None:
        """A node whose output is that tap."""
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        self._taps.append(name)

    def layer(self, layer: nn.Module, maps: str) -> str:
        """A layer of a source in float32; raises TypeError for a kind that it does not know."""
        if isinstance(layer, nn.Sequential):
            return self.row(layer, maps)
        if isinstance(layer, Block):
            found = self.row(layer.layers, maps)
            return self.node("Add", found, maps) if layer.adds else found
        if isinstance(layer, nn.Conv2d):
            assert layer.bias is not None
            return self.node("Conv", maps, self.tensor(layer.weight), self.tensor(layer.bias), **geometry(layer))
        if isinstance(layer, nn.ReLU6):
            return self.node("Clip", maps, self.array(np.float32(0)), self.array(np.float32(6)))
        if isinstance(layer, nn.ReLU):
            return self.node("Relu", maps)
        if isinstance(layer, nn.MaxPool2d):
            return self.node("MaxPool", maps, kernel_shape=[2, 2], strides=[2, 2])
        raise TypeError(f"there is no ONNX for a layer {type(layer).__name__}")

    def row(self, layers: Iterable[nn.Module], maps: str) -> str:
        """Layers one after the other."""
        for layer in layers:
            maps = self.layer(layer, maps)
        return maps

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """A node; gives the name of its output."""
        name = f"n{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def tensor(self, tensor: Tensor) -> str:
        """A constant in float32; gives its name."""
        return self.array(np.ascontiguousarray(tensor.detach().cpu().numpy(), np.float32))

    def array(self, array: npt.ArrayLike) -> str:
        """A constant as it is; gives its name."""
        name = f"t{len(self._tensors)}"
        self._tensors.append(numpy_helper.from_array(np.asarray(array), name))
        return name


def geometry(layer: nn.Conv2d) -> dict[str, int | Sequence[int]]:
    """A convolution's attributes: its kernel, stride, padding and groups."""
    kernel, stride = layer.kernel_size[0], layer.stride[0]
    uneven = isinstance(layer, SameConvolution) and stride == 2
    before, after = ((kernel - 2) // 2, (kernel - 1) // 2) if uneven else ((kernel - 1) // 2,) * 2
    return {
        "kernel_shape": [kernel, kernel],
        "strides": [stride, stride],
        "pads": [before, before, after, after],
        "group": layer.groups,
    }
