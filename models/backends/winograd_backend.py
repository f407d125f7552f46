"""The engine for CPUs: the source by Winograd convolutions in torch's own matrix library, float32.

Many images: each thread takes a group of them through all layers, on its own core. The large early maps go image by
image, so that they stay near the core; the small late ones all together, so that the weights are read once for all.
Fewer images than threads: the fused network, all threads on one image. The transformed weights, 235 MB, would be read
for a single image then, which takes longer than the convolutions that they save (64 against 41 ms on two cores).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import torch
from torch import Tensor

from models.backends.fused import FusedSource, empty_taps
from models.backends.single_threads import SingleThreads, groups_of
from models.backends.winograd import FirstConvolution, Scratch, WinogradConvolution, empty_blob, inside, tiles_of
from models.sources.vgg16 import TAP_LAYERS, VGG16, SourceNetwork

ALONE_STRIDE = 4  # maps of this stride and larger ones go image by image (conv1 to conv3)
GROUP_TILES = 256  # of the first layer that takes images together: more would only take memory


@dataclass(frozen=True)
class Layer:
    """One convolution, the stride of the maps that it reads, and the tap that its pool is, if it is one."""

    convolution: WinogradConvolution
    stride: int
    tap: str | None


class Workspace:
    """A blob for each layer to read, and one more for the last to write, for up to `images` images of one size."""

    def __init__(self, layers: list[Layer], size: int, images: int) -> None:
        self.images = images
        self.planes = torch.zeros(3, size + 2, size + 2)  # of the normalised image
        reads = [(layer.stride, layer.convolution.inputs) for layer in layers]
        reads.append((2 * layers[-1].stride, layers[-1].convolution.outputs))
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

    def __init__(self, source: SourceNetwork, threads: int) -> None:
        self._mean, self._std = source.mean[0].cpu(), source.std[0].cpu()
        self._first = FirstConvolution(source.features[0])
        self._layers = layers_of(source)
        self._late = next(index for index, layer in enumerate(self._layers) if layer.stride > ALONE_STRIDE)
        self._threads = SingleThreads(max(1, threads), "mkd-source")
        self._own = _Own()
        self._plain = FusedSource(source)

    def activations(self, images: Tensor) -> dict[str, Tensor]:
        """See SourceBackend; images come from and activations stay in CPU memory, channels last."""
        batch = images.detach().cpu().float()
        count, size = len(batch), batch.shape[-1]
        taps = empty_taps(count, size)
        if count < self._threads.count:
            self._plain.run(batch, taps)
            return taps
        places = {tap: tensor.permute(0, 2, 3, 1) for tap, tensor in taps.items()}
        groups = groups_of(count, self._threads.count, max(1, GROUP_TILES // tiles_of(size // 8) ** 2))
        self._threads.map(
            self._group,
            [batch[group] for group in groups],
            [{tap: tensor[group] for tap, tensor in places.items()} for group in groups],
        )
        return taps

    @torch.no_grad()
    def _group(self, images: Tensor, taps: dict[str, Tensor]) -> None:
        """Some images, by the calling thread alone."""
        size, count, scratch = images.shape[-1], len(images), self._own.scratch
        space = self._space(self._own.spaces, size, count)
        for row in range(count):
            self._normalise(images[row], space)
            self._first.run(space.planes, inside(space.blobs[0]), range(size), scratch)
            for index in range(self._late):
                blob, into = self._ends(space, index, size, slice(row, row + 1))
                self._layers[index].convolution.run(blob, into, size // self._layers[index].stride, scratch)
                self._keep(index, into, {tap: tensor[row : row + 1] for tap, tensor in taps.items()})
        for index in range(self._late, len(self._layers)):
            blob, into = self._ends(space, index, size, slice(0, count))
            self._layers[index].convolution.run(blob, into, size // self._layers[index].stride, scratch)
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
        written = tiles_of(size // layer.stride) * (2 if layer.convolution.pooled else 4)
        return (
            blob[rows] if index >= self._late else blob,
            (after[rows] if index + 1 >= self._late else after)[:, :written, :written],
        )

    def _keep(self, index: int, into: Tensor, taps: dict[str, Tensor]) -> None:
        tap = self._layers[index].tap
        if tap is not None:
            side = taps[tap].shape[1]
            taps[tap].copy_(into[:, :side, :side])


def layers_of(source: SourceNetwork) -> list[Layer]:
    """VGG-16's convolutions but for the first, each with the ReLU and, where one follows, the pool after it."""
    tap_of_layer = {index: tap for tap, index in TAP_LAYERS.items()}
    found: list[Layer] = []
    stride, index = 1, 0
    for position, width in enumerate(VGG16):
        if isinstance(width, str):
            stride, index = 2 * stride, index + 1
            continue
        layer = source.features[index]
        pooled = isinstance(VGG16[position + 1], str)
        index += 2
        if position == 0:
            continue
        assert isinstance(layer, torch.nn.Conv2d)
        assert layer.bias is not None
        convolution = WinogradConvolution(layer.weight, layer.bias, pooled=pooled)
        found.append(Layer(convolution, stride, tap_of_layer.get(index) if pooled else None))
    return found
