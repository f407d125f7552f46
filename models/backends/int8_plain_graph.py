"""Writes VGG-16 as an ONNX graph that computes in 8-bit integers behind its first convolution.

    an activation   a = range/255 q      q: 0 to 255; `SourceSpec.ranges` has a range for each convolution

How far activations reach was measured once on made-up textures and belongs to the weights, so the graph is the same
for every product and on every machine. What reaches further is cut off. The first convolution, which reads the picture,
stays in float32. Sums of products are exact in 32 bits (`models.backends.int8_weights`).
"""

from __future__ import annotations

import numpy as np
from torch import nn

from models.backends.int8_weights import numbers_of, rounded
from models.backends.onnx_graph import IMAGES, RUNTIME_OPERATORS, GraphWriter, geometry
from models.sources.network import SourceNetwork


def int8_plain_graph(source: SourceNetwork, deepest: str) -> bytes:
    """VGG-16 up to the tap `deepest`; see `models.backends.onnx_graph.onnx_graph`.

    Raises ValueError for weights without ranges.
    """
    if not source.spec.ranges:
        raise ValueError(f"there is no int8 for {source.spec.name}: nobody has measured how far its activations reach")
    return _PlainWriter().written(source, deepest)


class _PlainWriter(GraphWriter):
    """Channels come last behind the first convolution."""

    def written(self, source: SourceNetwork, deepest: str) -> bytes:
        ranges = iter(source.spec.ranges)
        tap_of_layer = {index: tap for tap, index in source.tap_layers.items()}
        first, relu, *_ = source.features
        maps = self.node("Div", self.node("Sub", IMAGES, self.tensor(source.mean)), self.tensor(source.std))
        step = np.float32(next(ranges) / 255)
        whole = self.node("QuantizeLinear", self.row((first, relu), maps), *self._scale(step))
        maps = self.node("Transpose", whole, perm=[0, 2, 3, 1])
        for index, layer in enumerate(source.features[: source.tap_layers[deepest] + 1]):
            if isinstance(layer, nn.Conv2d) and index:
                before, step = step, np.float32(next(ranges) / 255)
                maps = self._convolution(maps, layer, before, step)
            elif isinstance(layer, nn.MaxPool2d):
                sides = {"kernel_shape": [2, 2], "strides": [2, 2]}
                maps = self.node("NhwcMaxPool", maps, domain=RUNTIME_OPERATORS, **sides)
            if index in tap_of_layer:
                full = self.node("DequantizeLinear", maps, *self._scale(step))
                self.tap(tap_of_layer[index], "Transpose", full, perm=[0, 3, 1, 2])
        return self.model(source)

    def _convolution(self, maps: str, layer: nn.Conv2d, before: np.float32, after: np.float32) -> str:
        """Whole activations of the step `before` -> those of the step `after`; a ReLU follows from their range."""
        assert layer.bias is not None
        nothing = np.zeros(layer.in_channels)
        weight, bias = numbers_of(layer.weight), numbers_of(layer.bias)
        whole, steps, bias = rounded(weight, bias, float(before), nothing, pairs=True)
        return self.node(
            "QLinearConv",
            *(maps, *self._scale(before)),
            *(self.array(np.ascontiguousarray(whole.astype(np.int8))), self.array(steps.astype(np.float32))),
            *(self.array(np.zeros(len(steps), np.int8)), *self._scale(after)),
            self.array(np.rint(bias / (float(before) * steps)).astype(np.int32)),
            domain=RUNTIME_OPERATORS,
            channels_last=1,
            **geometry(layer),
        )

    def _scale(self, step: np.float32) -> tuple[str, str]:
        return self.array(step), self.array(np.uint8(0))
