"""The backend for CPUs: VGG-16 by Winograd convolutions in torch's own matrix library, float32.

Many images: each thread takes a group of them through all layers, on its own core. The large early maps go image by
image, so that they stay near the core; the small late ones all together, so that the weights are read once for all.
Fewer images than threads: the fused network, all threads on one image. The transformed weights, 235 MB, would be read
for a single image then, which takes longer than the convolutions that they save (64 against 41 ms on two cores).
They are made when a batch first needs them: layers behind the taps that heads ask for take no memory. They are kept on
disk and memory-mapped, so several processes hold them once.
"""

from __future__ import annotations

import threading
from collections.abc import Collection

import torch
from torch import Tensor, nn

from models.backends.base import empty_taps
from models.backends.fused import FusedSource
from models.backends.kept import Kept
from models.backends.single_threads import SingleThreads, groups_of
from models.backends.winograd import (
    FirstConvolution,
    Scratch,
    WinogradConvolution,
    empty_blob,
    inside,
    tiles_of,
    transformed,
)
from models.sources.network import SourceNetwork

ALONE_STRIDE = 4  # maps of this stride and larger ones go image by image (conv1 to conv3)
GROUP_TILES = 256  # of the first layer that takes images together: more would only take memory


class Layer:
    """One convolution, the stride of the maps that it reads, and the tap that its pool is, if it is one."""

    def __init__(self, plain: nn.Conv2d, stride: int, *, pooled: bool, tap: str | None, name: str) -> None:
        self.inputs, self.outputs = plain.in_channels, plain.out_channels
        self.stride = stride
        self.pooled = pooled
        self.tap = tap
        self.name = name
        self._plain: nn.Conv2d | None = plain
        self._convolution: WinogradConvolution | None = None

    def transform(self, kept: Kept | None) -> None:
        """Has the transformed weights made or read, where that has not been done. Not from two threads at once."""
        if self._plain is not None:
            assert self._plain.bias is not None
            weight = self._transformed(self._plain.weight, kept)
            self._convolution = WinogradConvolution(weight, self._plain.bias, pooled=self.pooled)
            self._plain = None

    def _transformed(self, weight: Tensor, kept: Kept | None) -> Tensor:
        if kept is None:
            return transformed(weight)
        name = f"winograd-{self.name}.safetensors"
        return kept.tensors(name, lambda: {"weight": transformed(weight)})["weight"]

    def run(self, blob: Tensor, into: Tensor, side: int, scratch: Scratch) -> None:
        """See WinogradConvolution."""
        assert self._convolution is not None
        self._convolution.run(blob, into, side, scratch)


class Workspace:
    """A blob for each layer to read, and one more for the last to write, for up to `images` images of one size."""

    def __init__(self, layers: list[Layer], size: int, images: int) -> None:
        self.images = images
        self.planes = torch.zeros(3, size + 2, size + 2)  # of the normalised image
        reads = [(layer.stride, layer.inputs) for layer in layers]
        reads.append((2 * layers[-1].stride, layers[-1].outputs))
        self.blobs = [
            empty_blob(1 if stride <= ALONE_STRIDE else images, size // stride, channels) for stride, channels in reads
        ]


class _Own(threading.local):
    """What a thread keeps for itself."""

    def __init__(self) -> None:
        self.scratch = Scratch()
        self.spaces: dict[int, Workspace] = {}  # by image size


class WinogradBackend:
    """Runs the source on `threads` CPU threads. See SourceBackend."""

    name = "winograd"

    def __init__(self, source: SourceNetwork, threads: int, kept: Kept | None = None) -> None:
        self._spec = source.spec
        self._kept = kept
        self._mean, self._std = source.mean[0].cpu(), source.std[0].cpu()
        self._first = FirstConvolution(source.features[0])
        self._transforming = threading.Lock()
        self._layers = layers_of(source)
        self._late = next(index for index, layer in enumerate(self._layers) if layer.stride > ALONE_STRIDE)
        self._threads = SingleThreads(max(1, threads), "mkd-source")
        self._own = _Own()
        self._plain = FusedSource(source)

    def activations(self, images: Tensor, taps: Collection[str] | None = None) -> dict[str, Tensor]:
        """See SourceBackend; images come from and activations stay in CPU memory, channels last."""
        batch = images.detach().cpu().float()
        count, size = len(batch), batch.shape[-1]
        found = empty_taps(self._spec, count, size, taps)
        if count < self._threads.count:
            self._plain.run(batch, found)
            return found
        places = {tap: tensor.permute(0, 2, 3, 1) for tap, tensor in found.items()}
        depth = self._depth(places)
        groups = groups_of(count, self._threads.count, max(1, GROUP_TILES // tiles_of(size // 8) ** 2))
        self._threads.map(
            self._group,
            [batch[group] for group in groups],
            [{tap: tensor[group] for tap, tensor in places.items()} for group in groups],
            [depth] * len(groups),
        )
        return found

    @torch.no_grad()
    def _depth(self, taps: Collection[str]) -> int:
        """How many of the layers those taps need; their weights are transformed from now on."""
        depth = max((number for number, layer in enumerate(self._layers, start=1) if layer.tap in taps), default=0)
        with self._transforming:
            for layer in self._layers[:depth]:
                layer.transform(self._kept)
        return depth

    @torch.no_grad()
    def _group(self, images: Tensor, taps: dict[str, Tensor], depth: int) -> None:
        """Some images through the first `depth` layers, by the calling thread alone."""
        size, count, scratch = images.shape[-1], len(images), self._own.scratch
        space = self._space(self._own.spaces, size, count)
        for row in range(count):
            self._normalise(images[row], space)
            self._first.run(space.planes, inside(space.blobs[0]), range(size), scratch)
            for index in range(min(self._late, depth)):
                blob, into = self._ends(space, index, size, slice(row, row + 1))
                self._layers[index].run(blob, into, size // self._layers[index].stride, scratch)
                self._keep(index, into, {tap: tensor[row : row + 1] for tap, tensor in taps.items()})
        for index in range(self._late, depth):
            blob, into = self._ends(space, index, size, slice(0, count))
            self._layers[index].run(blob, into, size // self._layers[index].stride, scratch)
            self._keep(index, into, taps)

    def _normalise(self, image: Tensor, space: Workspace) -> None:
        torch.sub(image, self._mean, out=space.planes[:, 1:-1, 1:-1]).div_(self._std)

    def _space(self, spaces: dict[int, Workspace], size: int, images: int) -> Workspace:
        if size not in spaces or spaces[size].images < images:
            spaces[size] = Workspace(self._layers, size, images)
        return spaces[size]

    def _ends(self, space: Workspace, index: int, size: int, rows: slice) -> tuple[Tensor, Tensor]:
        """What layer `index` reads and where it writes, for those images of the group."""
        layer = self._layers[index]
        blob, after = space.blobs[index], inside(space.blobs[index + 1])
        written = tiles_of(size // layer.stride) * (2 if layer.pooled else 4)
        return (
            blob[rows] if index >= self._late else blob,
            (after[rows] if index + 1 >= self._late else after)[:, :written, :written],
        )

    def _keep(self, index: int, into: Tensor, taps: dict[str, Tensor]) -> None:
        tap = self._layers[index].tap
        if tap is not None and tap in taps:
            side = taps[tap].shape[1]
            taps[tap].copy_(into[:, :side, :side])


def layers_of(source: SourceNetwork) -> list[Layer]:
    """VGG-16's convolutions but for the first, each with the ReLU and, where one follows, the pool after it."""
    tap_of_layer = {index: tap for tap, index in source.tap_layers.items()}
    found: list[Layer] = []
    stride = 1
    for index, layer in enumerate(source.features):
        if isinstance(layer, nn.MaxPool2d):
            stride *= 2
        if isinstance(layer, nn.Conv2d) and index > 0:
            pooled = isinstance(source.features[index + 2], nn.MaxPool2d)
            found.append(
                Layer(
                    layer, stride, pooled=pooled, tap=tap_of_layer.get(index + 2) if pooled else None, name=str(index)
                )
            )
    return found
