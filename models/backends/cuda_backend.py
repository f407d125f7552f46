"""The backend for NVIDIA GPUs: any source in half precision, channels_last, as CUDA graphs of a few batch sizes.

Artifacts of source precision float32 are judged in float16, whose steps are fine enough to keep their scores; those of
bfloat16 in bfloat16 after the first layer, as they were calibrated.

A graph is launched by one call, so the GPU does not wait for Python between the layers. Each (image size, bucket, taps)
is captured at its first use, which is the warm-up of an artifact, with buffers of its own; batches are padded to a
bucket.

It has never been run, as there was no GPU: the buckets are tested by themselves, the rest only by tests marked `gpu`.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from models.backends.base import empty_taps
from models.backends.buckets import Buckets
from models.sources.network import SourceNetwork
from models.sources.registry import Precision

WARM_UPS = 3  # runs before a capture: cuDNN chooses its algorithms in them


@dataclass
class Capture:
    """One graph with the memory that it reads and writes, and pinned memory for the way to it."""

    graph: torch.cuda.CUDAGraph
    images: Tensor
    taps: dict[str, Tensor]
    pinned: Tensor


class CudaBackend:
    """Runs the source on one CUDA device. See SourceBackend. Raises ValueError for another device."""

    name = "cuda"

    def __init__(
        self,
        source: SourceNetwork,
        device: torch.device,
        buckets: Buckets | None = None,
        *,
        precision: Precision = "float32",
    ) -> None:
        if device.type != "cuda":
            raise ValueError(f"the backend cuda runs on a CUDA device, not on {device}")
        self._device = device
        # Tap values reach some thousand, which float16 holds.
        self._dtype = torch.float16 if precision == "float32" else torch.float32  # of the images that enter
        self._network = source.to(device=device, dtype=self._dtype).to(memory_format=torch.channels_last)
        self._network.lower(precision)
        self._buckets = buckets or Buckets()
        self._captures: dict[tuple[int, int, tuple[str, ...]], Capture] = {}
        self._running = threading.Lock()  # a graph's memory holds one batch at a time

    @torch.no_grad()
    def activations(self, images: Tensor, taps: Collection[str] | None = None) -> dict[str, Tensor]:
        """See SourceBackend; the activations stay on the device, float32 and channels last."""
        count, size = len(images), images.shape[-1]
        found = empty_taps(self._network.spec, count, size, taps, self._device)
        with self._running, torch.cuda.device(self._device):
            for filling in self._buckets.fill(count):
                capture = self._capture(size, filling.bucket, tuple(found))
                self._enter(capture, images[filling.start : filling.stop])
                capture.graph.replay()
                for tap, tensor in capture.taps.items():
                    found[tap][filling.start : filling.stop] = tensor[: filling.stop - filling.start]
        return found

    def _enter(self, capture: Capture, images: Tensor) -> None:
        """Copies the images to where the graph reads; padding rows keep what they held, as no row sees another."""
        count = len(images)
        if images.device.type == "cpu":
            torch.cuda.current_stream().synchronize()  # the copy before may still be reading the pinned memory
            capture.pinned[:count].copy_(images)
            images = capture.pinned[:count].to(self._device, non_blocking=True)
        capture.images[:count].copy_(images)  # to its precision, on the device

    def _capture(self, size: int, bucket: int, taps: tuple[str, ...]) -> Capture:
        key = (size, bucket, taps)
        if key not in self._captures:
            self._captures[key] = self._captured(*key)
        return self._captures[key]

    def _captured(self, size: int, bucket: int, wanted: tuple[str, ...]) -> Capture:
        images = torch.zeros((bucket, 3, size, size), device=self._device, dtype=self._dtype)
        images = images.contiguous(memory_format=torch.channels_last)
        aside = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UPS):
                self._network(images, wanted)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            taps = self._network(images, wanted)
        return Capture(graph, images, taps, torch.empty((bucket, 3, size, size), pin_memory=True))
