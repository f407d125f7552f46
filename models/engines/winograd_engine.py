"""The engine for CPUs: the source by Winograd convolutions in torch's own matrix library, float32.

Many images: the large early maps go image by image, each on one core, so that they stay near it; the small late ones go
in a group for each core, so that the weights are read once for many.
Fewer images than threads: the fused network, all threads on one image. The transformed weights, 235 MB, would be read
for a single image then, which takes longer than the convolutions that they save (64 against 41 ms on two cores).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from models.engines.fused import FusedSource, empty_taps
from models.engines.single_threads import SingleThreads, groups_of
from models.engines.winograd import FirstConvolution, Scratch, WinogradConvolution, empty_blob, inside, tiles_of
from models.source import TAP_LAYERS, VGG16, SourceNetwork

ALONE_STRIDE = 4  # maps of this stride and larger ones go image by image (conv1 to conv3)
GROUP_TILES = 256  # of the first layer that takes images together: more would only take memory


@dataclass(frozen=True)
class Layer:
    """One convolution, the stride of the maps that it reads, and the tap that its pool is, if it is one."""

    convolution: WinogradConvolution
    stride: int
    tap: str | None


class Workspace:
    """A blob for each of `layers` to read, for up to `images` images of one size."""

    def __init__(self, layers: list[Layer], size: int, images: int) -> None:
        self.images = images
        self.planes = torch.zeros(3, size + 2, size + 2)  # of the normalised image
        self.blobs = [empty_blob(images, size // layer.stride, layer.convolution.inputs) for layer in layers]


class _Own(threading.local):
    """What a thread keeps for itself."""

    def __init__(self) -> None:
        self.scratch = Scratch()
        self.spaces: dict[tuple[int, int], Workspace] = {}  # by first layer and image size


class WinogradEngine:
    """Runs the source on `threads` CPU threads. See SourceEngine."""

    name = "winograd"

    def __init__(self, source: SourceNetwork, threads: int) -> None:
        self._mean, self._std = source.mean[0].cpu(), source.std[0].cpu()
        self._first = FirstConvolution(source.features[0])
        self._layers = layers_of(source)
        self._late = next(index for index, layer in enumerate(self._layers) if layer.stride > ALONE_STRIDE)
        # Where the last layer writes, with as many channels as it reads.
        end = replace(self._layers[-1], stride=2 * self._layers[-1].stride)
        parts = {0: self._layers[: self._late], self._late: [self._layers[self._late]]}
        self._reads = {**parts, self._late + 1: [*self._layers[self._late + 1 :], end]}
        self._threads = SingleThreads(max(1, threads), "mkd-source")
        self._own = _Own()
        self._plain = FusedSource(source)

    def activations(self, images: Tensor) -> dict[str, Tensor]:
        """See SourceEngine; images come from and activations stay in CPU memory, channels last."""
        batch = images.detach().cpu().float()
        count, size = len(batch), batch.shape[-1]
        taps = empty_taps(count, size)
        if count < self._threads.count:
            self._plain.run(batch, taps)
            return taps
        places = {tap: tensor.permute(0, 2, 3, 1) for tap, tensor in taps.items()}
        # The images' early layers are taken by whichever thread is free: one that others hold up then does fewer.
        middle = self._space(self._late, size, count).blobs[0][:count]
        self._threads.map(self._early, batch, middle, _by_image(places, count))
        groups = groups_of(count, self._threads.count, max(1, GROUP_TILES // tiles_of(size // 8) ** 2))
        self._threads.map(
            self._rest,
            [middle[group] for group in groups],
            [{tap: tensor[group] for tap, tensor in places.items()} for group in groups],
            [size] * len(groups),
        )
        return taps

    @torch.no_grad()
    def _early(self, image: Tensor, middle: Tensor, taps: dict[str, Tensor]) -> None:
        """One image (3, S, S) to where the first of the late layers reads it, by the calling thread alone."""
        size = image.shape[-1]
        space = self._space(0, size, 1)
        self._normalise(image, space)
        self._first.run(space.planes, inside(space.blobs[0]), range(size), self._own.scratch)
        self._run(range(self._late), [*space.blobs[: self._late], middle[None]], size, taps)

    @torch.no_grad()
    def _rest(self, middle: Tensor, taps: dict[str, Tensor], size: int) -> None:
        """The late layers of some images together, by the calling thread alone."""
        count, late = len(middle), range(self._late, len(self._layers))
        spaces = self._space(self._late + 1, size, count)
        self._run(late, [middle, *(blob[:count] for blob in spaces.blobs)], size, taps)

    def _run(self, indices: range, blobs: list[Tensor], size: int, taps: dict[str, Tensor]) -> None:
        """These layers in turn, each from its blob to the next."""
        for index, (blob, after) in zip(indices, pairwise(blobs), strict=True):
            layer = self._layers[index]
            written = tiles_of(size // layer.stride) * (2 if layer.convolution.pooled else 4)
            into = inside(after)[:, :written, :written]
            layer.convolution.run(blob, into, size // layer.stride, self._own.scratch)
            if layer.tap is not None:
                side = taps[layer.tap].shape[1]
                taps[layer.tap].copy_(into[:, :side, :side])

    def _normalise(self, image: Tensor, space: Workspace) -> None:
        torch.sub(image, self._mean, out=space.planes[:, 1:-1, 1:-1]).div_(self._std)

    def _space(self, first: int, size: int, images: int) -> Workspace:
        """The calling thread's, from layer `first` on: the early layers', the one blob between, or the late layers'."""
        spaces, key = self._own.spaces, (first, size)
        if key not in spaces or spaces[key].images < images:
            spaces[key] = Workspace(self._reads[first], size, images)
        return spaces[key]


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


def _by_image(tensors: dict[str, Tensor], count: int) -> list[dict[str, Tensor]]:
    return [{name: tensor[row : row + 1] for name, tensor in tensors.items()} for row in range(count)]
