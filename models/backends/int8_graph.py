"""Writes EfficientNet-Lite0 as an ONNX graph that computes in 8-bit integers behind its first block.

No picture is looked at: what a layer usually gives is read off the source's own BatchNorms, so the graph is the same
for every product and on every machine.

    an activation behind ReLU6      a = 6/255 q                      q: 0 to 255; ReLU6 ends where q ends
    what blocks add up, by channel  x = C + U t, t = K/127 (q - 128) C, U: its usual mean and deviation; t is float32
    what a bias makes up for        the usual inputs, which follow from the same means and deviations

Sums of products are exact in 32 bits (`models.backends.int8_weights`). The stem and the first block stay in float32:
rounding the weights of their depthwise convolution alone would move all that follows by 12 %, and they are no faster in
integers.
"""

from __future__ import annotations

import math

import numpy as np
from torch import nn

from models.backends.int8_weights import Numbers, numbers_of, rounded
from models.backends.onnx_graph import IMAGES, RUNTIME_OPERATORS, GraphWriter, geometry
from models.sources.efficientnet_lite import Block
from models.sources.network import SourceNetwork

HIGHEST = 6.0  # of a ReLU6
ACTIVATION_STEP = np.float32(HIGHEST / 255)
DEVIATIONS = 4.0  # K: how far a sum of blocks may be from its usual mean; measured, see docs/speed.md
SUM_STEP, SUM_ZERO = np.float32(DEVIATIONS / 127), 128
LEAST_DEVIATION = 1e-3  # of a channel that is nearly always the same


def int8_graph(source: SourceNetwork, deepest: str) -> bytes:
    """EfficientNet-Lite0 up to the tap `deepest`; see `models.backends.onnx_graph.onnx_graph`."""
    return _Int8Writer(source).written(deepest)


def usual_relu6(mean: Numbers, deviation: Numbers) -> Numbers:
    """The mean behind a ReLU6 of what is normally distributed before it."""
    deviation = np.maximum(deviation, LEAST_DEVIATION)
    return _usual_relu(mean, deviation) - _usual_relu(mean - HIGHEST, deviation)


def _usual_relu(mean: Numbers, deviation: Numbers) -> Numbers:
    ratio = mean / deviation
    below = np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in ratio])
    found: Numbers = mean * below + deviation * np.exp(-(ratio**2) / 2) / math.sqrt(2 * math.pi)
    return found


class _Sums:
    """What is usual of the sums that a row of blocks passes on: `centre` C and `unit` U of them all, `mean` after each.

    Blocks that add their input pass on the same channels, so they share C and U: those after the last of them.
    """

    def __init__(self, source: SourceNetwork) -> None:
        self.mean: list[Numbers] = []
        self.centre: list[Numbers] = []
        self.unit: list[Numbers] = []
        variances: list[Numbers] = []
        blocks = [layer for layer in source.features if isinstance(layer, Block)]
        for number, block in enumerate(blocks, start=1):
            mean, deviation = _usual(source, f"{number}.layers.{len(block.layers) - 1}")
            before = (self.mean[-1], variances[-1]) if block.adds else (0.0, 0.0)
            self.mean.append(mean + before[0])
            variances.append(deviation**2 + before[1])
        for number in reversed(range(len(blocks))):
            last = number + 1 == len(blocks) or not blocks[number + 1].adds
            self.centre.insert(0, self.mean[number] if last else self.centre[0])
            self.unit.insert(0, np.maximum(np.sqrt(variances[number]), LEAST_DEVIATION) if last else self.unit[0])


class _Int8Writer(GraphWriter):
    """Channels come last behind the first block, as ONNX Runtime's own operators need it."""

    def __init__(self, source: SourceNetwork) -> None:
        super().__init__()
        self._source = source
        self._sums = _Sums(source)

    def written(self, deepest: str) -> bytes:
        tap_of_layer = {index: tap for tap, index in self._source.tap_layers.items()}
        maps = self._first_block()
        for number in range(2, self._source.tap_layers[deepest] + 1):  # layer 0 is the stem, layer n the n-th block
            maps = self._block(number, maps)
            if number in tap_of_layer:
                spread = self.node("Mul", maps, self._floats(self._sums.unit[number - 1]))
                full = self.node("Add", spread, self._floats(self._sums.centre[number - 1]))
                self.tap(tap_of_layer[number], "Transpose", full, perm=[0, 3, 1, 2])
        return self.model(self._source)

    def _first_block(self) -> str:
        """Stem and first block in float32: images -> t, (B, S/2, S/2, C)."""
        maps = self.node("Div", self.node("Sub", IMAGES, self.tensor(self._source.mean)), self.tensor(self._source.std))
        block = self._source.features[1]
        assert isinstance(block, Block)
        *before, last = block.layers
        assert isinstance(last, nn.Conv2d)
        maps = self.row(before, self.layer(self._source.features[0], maps))
        weight, bias = _weights(last)
        centre, unit = self._sums.centre[0], self._sums.unit[0]
        weight, bias = weight / unit[:, None, None, None], (bias - centre) / unit
        maps = self.node("Conv", maps, self._floats(weight), self._floats(bias), **geometry(last))
        return self.node("Transpose", maps, perm=[0, 2, 3, 1])

    def _block(self, number: int, maps: str) -> str:
        """t of the block before it -> its own."""
        block = self._source.features[number]
        assert isinstance(block, Block)
        widen, _, each, _, narrow = block.layers
        name = f"{number}.layers"
        centre, unit, mean = (row[number - 2] for row in (self._sums.centre, self._sums.unit, self._sums.mean))
        whole = self.node("QuantizeLinear", maps, self.array(SUM_STEP), self.array(np.uint8(SUM_ZERO)))
        weight, bias = _weights(widen)
        bias, weight = bias + weight[:, :, 0, 0] @ centre, weight * unit[:, None, None]
        wide = self._convolution(whole, widen, weight, bias, (mean - centre) / unit, step=SUM_STEP, zero=SUM_ZERO)
        usual = usual_relu6(*_usual(self._source, f"{name}.0"))
        wide = self._convolution(wide, each, *_weights(each), usual, step=ACTIVATION_STEP, zero=0)
        found = self._narrow(wide, narrow, usual_relu6(*_usual(self._source, f"{name}.2")), number, adds=block.adds)
        return self.node("Add", found, maps) if block.adds else found

    def _convolution(
        self, maps: str, layer: nn.Module, weight: Numbers, bias: Numbers, mean: Numbers, *, step: np.float32, zero: int
    ) -> str:
        """Whole inputs -> whole activations; a ReLU6 follows from their range."""
        assert isinstance(layer, nn.Conv2d)
        whole, steps, bias = rounded(weight, bias, float(step), mean, pairs=layer.groups == 1)
        return self.node(
            "QLinearConv",
            *(maps, self.array(step), self.array(np.uint8(zero))),
            *(self.array(whole.astype(np.int8)), self._floats(steps), self.array(np.zeros(len(steps), np.int8))),
            *(self.array(ACTIVATION_STEP), self.array(np.uint8(0))),
            self.array(np.rint(bias / (float(step) * steps)).astype(np.int32)),
            domain=RUNTIME_OPERATORS,
            channels_last=1,
            **geometry(layer),
        )

    def _narrow(self, maps: str, layer: nn.Module, mean: Numbers, number: int, *, adds: bool) -> str:
        """Whole activations -> what the block adds to t, or t where it adds nothing, in float32."""
        assert isinstance(layer, nn.Conv2d)
        weight, bias = _weights(layer)
        unit = self._sums.unit[number - 1]
        bias = bias if adds else bias - self._sums.centre[number - 1]
        weight = weight / unit[:, None, None, None]
        whole, steps, bias = rounded(weight, bias / unit, float(ACTIVATION_STEP), mean, pairs=True)
        return self.node(
            "MatMulIntegerToFloat",
            *(maps, self.array(np.ascontiguousarray(whole[:, :, 0, 0].T.astype(np.int8)))),
            *(self.array(ACTIVATION_STEP), self._floats(steps)),
            *(self.array(np.uint8(0)), self.array(np.zeros(len(steps), np.int8)), self._floats(bias)),
            domain=RUNTIME_OPERATORS,
        )

    def _floats(self, numbers: Numbers) -> str:
        return self.array(np.ascontiguousarray(numbers, np.float32))


def _weights(layer: nn.Module) -> tuple[Numbers, Numbers]:
    assert isinstance(layer, nn.Conv2d)
    assert layer.bias is not None
    return numbers_of(layer.weight), numbers_of(layer.bias)


def _usual(source: SourceNetwork, convolution: str) -> tuple[Numbers, Numbers]:
    mean, deviation = source.usual_outputs[convolution]
    return numbers_of(mean), numbers_of(deviation)
