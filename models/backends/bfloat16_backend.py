"""The backend for CPUs with AMX: VGG-16 after its first layer in bfloat16, for artifacts made so.

A bfloat16 has float32's range and 8 of its 24 bits. Products are exact and add up in float32; what is rounded are
weights, biases and each layer's result. The picture enters in float32 (see SourceNetwork.lower). That moves scores by
up to some per cent of their spread on good parts. So it is a property of the artifact, which is trained and calibrated
in it.

Many images: each thread takes a few of them through all layers on its own core. Fewer images than threads: all threads
on all of them. A row's activations are the same bits either way. A CPU without AMX computes in float32 and rounds, in
the time that plain convolutions in float32 take, and gives the same but for the order in which products add up. So
does one with AVX512_BF16 alone, whose products of bfloat16 take longer than that (43 against 30 ms an image).
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from models.backends.base import empty_taps
from models.backends.fused import FusedSource
from models.backends.processor import has_fast_bfloat16
from models.backends.single_threads import SingleThreads, groups_of
from models.sources.network import SourceNetwork

# Pixels that a thread takes at once: the early maps of more leave the core's cache, for fewer the late layers' weights
# are read too often. Four images of 128 pixels, measured.
GROUP_PIXELS = 4 * 128 * 128


class Bfloat16Backend:
    """Runs the source on `threads` CPU threads. See SourceBackend. `native`: products of bfloat16, by AMX."""

    name = "bfloat16"

    def __init__(self, source: SourceNetwork, threads: int, *, native: bool | None = None) -> None:
        self.native = has_fast_bfloat16() if native is None else native
        self._spec = source.spec
        self._source = FusedSource(source, torch.bfloat16, rounded=not self.native)
        self._threads = SingleThreads(max(1, threads), "mkd-source")

    def activations(self, images: Tensor, taps: Collection[str] | None = None) -> dict[str, Tensor]:
        """See SourceBackend; images come from and activations stay in CPU memory, channels last."""
        batch = images.detach().cpu().float()
        count, size = len(batch), batch.shape[-1]
        found = empty_taps(self._spec, count, size, taps)
        if count < self._threads.count:
            self._source.run(batch, found)
            return found
        groups = groups_of(count, self._threads.count, max(1, GROUP_PIXELS // size**2))
        self._threads.map(
            self._source.run,
            [batch[group] for group in groups],
            [{tap: tensor[group] for tap, tensor in found.items()} for group in groups],
        )
        return found
