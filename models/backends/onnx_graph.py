"""Writes a source as an ONNX graph, from the layers and tensors of its network; nothing is traced.

(B, 3, S, S) in [0, 1] -> normalisation -> convolutions, ReLU (6), max-pools, sums -> one output for each tap
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from models.sources.efficientnet_lite import Block, SameConvolution
from models.sources.network import SourceNetwork

IMAGES = "images"
OPSET, FORMAT = 17, 8  # of 2022: every runtime since then reads them


def onnx_graph(source: SourceNetwork, deepest: str) -> bytes:
    """The source up to the tap `deepest` as a serialised ONNX model: all taps up to it are outputs, by their names.

    Raises TypeError for a kind of layer that it does not know.
    """
    return _Writer().model(source, deepest)


class _Writer:
    """Nodes and tensors as they come; every node has one output, whose name is its number."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: list[onnx.TensorProto] = []

    def model(self, source: SourceNetwork, deepest: str) -> bytes:
        last = source.tap_layers[deepest]
        tap_of_layer = {index: tap for tap, index in source.tap_layers.items()}
        taps = []
        maps = self._node("Sub", IMAGES, self._tensor(source.mean))
        maps = self._node("Div", maps, self._tensor(source.std))
        for index, layer in enumerate(source.features[: last + 1]):
            maps = self._layer(layer, maps)
            if index in tap_of_layer:
                taps.append(tap_of_layer[index])
                self._nodes.append(helper.make_node("Identity", [maps], [taps[-1]]))
        images = helper.make_tensor_value_info(IMAGES, TensorProto.FLOAT, ["B", 3, "S", "S"])
        outputs = [
            helper.make_tensor_value_info(tap, TensorProto.FLOAT, ["B", source.spec.taps[tap].channels, tap, tap])
            for tap in taps
        ]
        graph = helper.make_graph(self._nodes, source.spec.name, [images], outputs, self._tensors)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=FORMAT)
        return bytes(model.SerializeToString())

    def _layer(self, layer: nn.Module, maps: str) -> str:
        if isinstance(layer, nn.Sequential):
            return self._row(layer, maps)
        if isinstance(layer, Block):
            found = self._row(layer.layers, maps)
            return self._node("Add", found, maps) if layer.adds else found
        if isinstance(layer, nn.Conv2d):
            return self._convolution(layer, maps)
        if isinstance(layer, nn.ReLU6):
            return self._node("Clip", maps, self._number(0), self._number(6))
        if isinstance(layer, nn.ReLU):
            return self._node("Relu", maps)
        if isinstance(layer, nn.MaxPool2d):
            return self._node("MaxPool", maps, kernel_shape=[2, 2], strides=[2, 2])
        raise TypeError(f"there is no ONNX for a layer {type(layer).__name__}")

    def _row(self, layers: Iterable[nn.Module], maps: str) -> str:
        for layer in layers:
            maps = self._layer(layer, maps)
        return maps

    def _convolution(self, layer: nn.Conv2d, maps: str) -> str:
        assert layer.bias is not None
        kernel, stride = layer.kernel_size[0], layer.stride[0]
        uneven = isinstance(layer, SameConvolution) and stride == 2
        before, after = ((kernel - 2) // 2, (kernel - 1) // 2) if uneven else ((kernel - 1) // 2,) * 2
        return self._node(
            "Conv",
            maps,
            self._tensor(layer.weight),
            self._tensor(layer.bias),
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[before, before, after, after],
            group=layer.groups,
        )

    def _node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"n{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def _tensor(self, tensor: Tensor) -> str:
        return self._array(np.ascontiguousarray(tensor.detach().cpu().numpy(), np.float32))

    def _number(self, value: float) -> str:
        return self._array(np.array(value, np.float32))

    def _array(self, array: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> str:
        name = f"t{len(self._tensors)}"
        self._tensors.append(numpy_helper.from_array(array, name))
        return name
